"""The official openai package, and InferenceClient.chat_completion, on /v1."""

import threading
import time
import unittest

import openai
from huggingface_hub import InferenceClient
from huggingface_hub.errors import GenerationError, HfHubHTTPError
from serving import ANSWER, SCRIPTED_URL, TEXT, ZOO_URL, metric, until

MESSAGES = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "olleh"},
    {"role": "user", "content": TEXT},
]


def client(url: str = ZOO_URL, retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=retries)


class Completions(unittest.TestCase):
    def test_answer_and_usage(self):
        completion = client().completions.create(model="t5", prompt=TEXT)
        self.assertEqual(completion.choices[0].text, ANSWER)
        self.assertEqual(completion.choices[0].finish_reason, "stop")
        usage = completion.usage
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertTrue(completion._request_id)

    def test_stream(self):
        stream = client().completions.create(
            model="t5", prompt=TEXT, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks if chunk.choices), ANSWER)
        self.assertEqual(chunks[-1].choices, [])
        self.assertGreater(chunks[-1].usage.total_tokens, 0)

    def test_several_prompts_and_n(self):
        completion = client().completions.create(
            model="t5", prompt=[TEXT, "other"], n=2, temperature=2.0, seed=1, max_tokens=8, logprobs=2
        )
        self.assertEqual([choice.index for choice in completion.choices], [0, 1, 2, 3])
        for choice in completion.choices:
            self.assertEqual("".join(choice.logprobs.tokens), choice.text)

    def test_stop_seed_length(self):
        stopped = client().completions.create(model="t5", prompt=TEXT, stop=["di"])
        self.assertEqual(stopped.choices[0].text, "ed")
        short = client().completions.create(model="t5", prompt=TEXT, max_tokens=3)
        self.assertEqual((short.choices[0].text, short.choices[0].finish_reason), ("eddi", "length"))
        texts = [
            client().completions.create(model="t5", prompt=TEXT, temperature=3, seed=seed, max_tokens=20).choices[0].text
            for seed in (5, 5, 6)
        ]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_options_of_generate_pass_through_extra_body(self):
        completion = client().completions.create(model="t5", prompt=TEXT, extra_body={"num_beams": 4, "min_new_tokens": 8})
        self.assertGreaterEqual(completion.usage.completion_tokens, 8)

    def test_errors_are_their_classes(self):
        with self.assertRaises(openai.UnprocessableEntityError) as caught:
            client().completions.create(model="t5", prompt=TEXT, echo=True)
        self.assertEqual((caught.exception.param, caught.exception.type), ("echo", "invalid_request_error"))
        with self.assertRaises(openai.NotFoundError):
            client().completions.create(model="gpt-4", prompt=TEXT)
        with self.assertRaises(openai.APIStatusError) as caught:
            client(SCRIPTED_URL).completions.create(model="echo", prompt="!fail")
        self.assertEqual(caught.exception.status_code, 424)
        with self.assertRaises(openai.InternalServerError):
            client(SCRIPTED_URL).completions.create(model="echo", prompt="!crash")
        with self.assertRaisesRegex(openai.APIError, "the model failed"):
            list(client(SCRIPTED_URL).completions.create(model="echo", prompt="one !fail", stream=True))

    def test_overload_and_retry(self):
        # The server takes one waiting request: this one waits until its client gives up.
        def wait():
            try:
                client(SCRIPTED_URL).with_options(timeout=2).completions.create(model="echo", prompt="!wait")
            except openai.APITimeoutError:
                pass

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.5)
        with self.assertRaises(openai.RateLimitError) as caught:
            client(SCRIPTED_URL).completions.create(model="echo", prompt="hi")
        self.assertGreater(int(caught.exception.response.headers["retry-after-ms"]), 0)
        patient = client(SCRIPTED_URL, retries=8).completions.create(model="echo", prompt="hi")
        self.assertEqual(patient.choices[0].text, "HI")
        thread.join()

    def test_leaving_frees_the_row(self):
        before = metric("seqserve_requests_total", 'outcome="cancelled"')
        with client().completions.create(
            model="t5", prompt=TEXT, stream=True, max_tokens=512, extra_body={"min_new_tokens": 500}
        ) as stream:
            next(iter(stream))
        until(lambda: metric("seqserve_requests_total", 'outcome="cancelled"') > before, "cancelled")


class Chat(unittest.TestCase):
    def test_answer(self):
        completion = client().chat.completions.create(model="t5", messages=MESSAGES)
        self.assertEqual(completion.choices[0].message.content, ANSWER)

    def test_stream(self):
        chunks = list(client().chat.completions.create(model="t5", messages=MESSAGES, stream=True))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks), ANSWER)
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")


class AsyncCompletions(unittest.IsolatedAsyncioTestCase):
    async def test_stream(self):
        async with openai.AsyncOpenAI(base_url=f"{ZOO_URL}/v1", api_key="none") as asynchronous:
            stream = await asynchronous.completions.create(model="t5", prompt=TEXT, stream=True)
            self.assertEqual("".join([chunk.choices[0].text async for chunk in stream]), ANSWER)


class Models(unittest.TestCase):
    def test_list_and_retrieve(self):
        self.assertEqual([model.id for model in client().models.list()], ["t5", "nllb"])
        self.assertEqual(client().models.retrieve("nllb").id, "nllb")
        with self.assertRaises(openai.NotFoundError):
            client().models.retrieve("none")


class HuggingFaceChat(unittest.TestCase):
    def test_answer(self):
        for url in (ZOO_URL, f"{ZOO_URL}/v1"):
            output = InferenceClient(url).chat_completion(MESSAGES, max_tokens=24)
            self.assertEqual(output.choices[0].message.content, ANSWER)
            self.assertGreater(output.usage.total_tokens, 0)

    def test_stream(self):
        hub = InferenceClient(ZOO_URL)
        chunks = list(hub.chat_completion(MESSAGES, stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), ANSWER)
        self.assertGreater(chunks[-1].usage.total_tokens, 0)

    def test_errors(self):
        with self.assertRaisesRegex(HfHubHTTPError, "422"):
            InferenceClient(ZOO_URL).chat_completion(MESSAGES, frequency_penalty=1.0)
        hub = InferenceClient(SCRIPTED_URL)
        with self.assertRaises(GenerationError):
            list(hub.chat_completion([{"role": "user", "content": "one !fail"}], stream=True))


if __name__ == "__main__":
    unittest.main()
