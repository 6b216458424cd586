"""What Schemathesis can't read from openapi.yaml: which texts and models there are, and that a refusal names what was sent."""

import re

import schemathesis
from schemathesis.generation import GenerationMode

MODELS = ["g2p-en", "itn-en", None]
TEXTS = ("inputs", "prompt", "text_input", "q")


@schemathesis.hook
def before_call(context, case, **kwargs) -> None:
    """Valid bodies get texts and models that this server has, or else nearly all of them would end at "the model does not know". Wrong ones stay as they are."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE or not isinstance(case.body, dict):
        return
    body = dict(case.body)
    for name in TEXTS:
        if name in body:
            body[name] = known(body[name])
    for message in body.get("messages", []):
        if isinstance(message.get("content"), str):
            message["content"] = known(message["content"])
    if isinstance(body.get("model"), str) and body["model"] not in MODELS:
        # One in four stays unknown.
        body["model"] = [*MODELS, body["model"]][len(body["model"]) % 4]
    case.body = body


def known(text):
    """As long as before, in letters and spaces: what both shipped models read."""
    if isinstance(text, list):
        return [known(one) for one in text]
    return "".join(c if re.match("[a-z ]", c) else chr(97 + ord(c) % 26) for c in text)


@schemathesis.check
def refusals_name_a_field(ctx, response, case) -> None:
    """A 422 says which field is wrong, and the request has, or lacks, one of that name."""
    if response.status_code != 422:
        return
    error = response.json()
    field = error["error"]["param"] if isinstance(error["error"], dict) else error.get("field")
    message = error["error"]["message"] if isinstance(error["error"], dict) else error["error"]
    assert isinstance(field, str) and field != "", f"names no field: {message}"
    assert message.startswith(field), f"does not begin with {field}: {message}"
    declared = {parameter.name.lower() for parameter in case.operation.iter_parameters()}
    sent = {name.lower() for part in (case.query, case.headers, case.path_parameters) for name in part or {}}
    if isinstance(case.body, dict):
        sent |= {name.lower() for name in case.body}
    first = re.split(r"[.\[]", field)[0].lower()
    missing = f"{field}: is required" in message
    assert first in sent | declared | {"body"} or missing, f"names {field}, which was not sent: {message}"
