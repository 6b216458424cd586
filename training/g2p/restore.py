"""The network of an exported g2p-en folder, so that training can go on from shipped weights.

The inverse of export.py: ONNX keeps the gates of an LSTM in the order i, o, f, c where torch
has i, f, c, o, joins both biases, and transposes the matrices of MatMul. verify() of export.py
holds the result against the graphs it came from.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from .export import verify
from .model import G2P

Array = NDArray[np.float32]


def restore(folder: Path) -> G2P:
    """The network whose encoder.onnx and decoder.onnx (fp32) lie in `folder`, in evaluation mode."""
    encoder, decoder = onnx.load(folder / "encoder.onnx").graph, onnx.load(folder / "decoder.onnx").graph
    tensors = {t.name: numpy_helper.to_array(t) for graph in (encoder, decoder) for t in graph.initializer}
    state: dict[str, Array] = {n.removeprefix("model."): a for n, a in tensors.items() if n.startswith("model.")}
    for layer, node in enumerate(n for n in encoder.node if n.op_type == "LSTM"):
        state |= lstm("encoder", layer, [tensors[name] for name in node.input[1:4]])
    (node,) = (n for n in decoder.node if n.op_type == "LSTM")
    state |= lstm("decoder", 0, [tensors[name] for name in node.input[1:4]])
    matrices = [tensors[n.input[1]] for n in decoder.node if n.op_type == "MatMul" and n.input[1] in tensors]
    for name, matrix in zip(("query", "combine", "output"), matrices, strict=True):
        state[f"{name}.weight"] = matrix.T
    model = G2P()
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})
    model.eval()
    assert verify(model, folder) < 5e-5
    return model


def lstm(prefix: str, layer: int, tensors: list[Array]) -> dict[str, Array]:
    """W [D,4H,I], R [D,4H,H], B [D,8H] of an ONNX LSTM as torch's parameters of that layer."""
    weights, recurrent, biases = tensors
    state: dict[str, Array] = {}
    for direction, suffix in enumerate(("", "_reverse")[: len(weights)]):
        from_input, from_state = np.split(biases[direction], 2)
        for kind, array in (("weight_ih", weights[direction]), ("weight_hh", recurrent[direction]), ("bias_ih", from_input), ("bias_hh", from_state)):
            i, o, f, c = np.split(array, 4)
            state[f"{prefix}.{kind}_l{layer}{suffix}"] = np.concatenate((i, f, c, o))
    return state
