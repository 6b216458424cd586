"""The network of an exported itn-en folder, so that training can go on from shipped weights: the inverse of export.py.

MatMul nodes keep the path of their module in their name and hold the matrix transposed; everything else keeps its name.
"""

import pathlib

import onnx
import torch
from onnx import numpy_helper
from transformers import T5Config, T5ForConditionalGeneration


def restore(folder: pathlib.Path) -> T5ForConditionalGeneration:
    """The network whose encoder_model.onnx and decoder_model_merged.onnx (fp32) lie in `folder`."""
    state = {}
    for file, prefix in (("encoder_model.onnx", "encoder."), ("decoder_model_merged.onnx", "")):
        graph = onnx.load(folder / file).graph
        tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        bodies = [a.g for n in graph.node if n.op_type == "If" for a in n.attribute if a.HasField("g")] or [graph]
        for name, array in tensors.items():
            if not name.startswith("onnx::"):
                state[prefix + name.partition("_merged_")[0]] = array
        for node in (n for body in bodies for n in body.node if n.op_type == "MatMul" and n.input[1] in tensors):
            path = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            state[f"{prefix}{path}.weight"] = tensors[node.input[1]].T
    state["shared.weight"] = state["encoder.embed_tokens.weight"]
    state["decoder.embed_tokens.weight"] = state["lm_head.weight"] = state["shared.weight"]
    model = T5ForConditionalGeneration(T5Config.from_pretrained(folder))
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
    return model
