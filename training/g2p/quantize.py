"""The int8 pair of g2p-en: encoder_int8.onnx and decoder_int8.onnx.

Fourth step of the recipe. ONNX Runtime's dynamic quantisation takes one activation scale per
tensor, so the result of a row would depend on the other rows of its batch. Here it never does:

* Encoder: the weights are stored as int8 with one scale per output channel and turned back to
  float32 by Cast and Mul, which ONNX Runtime folds when the file is loaded. The arithmetic
  stays that of the fp32 LSTM operator.
* Decoder: the LSTM step is written as integer products and gates. What enters a product (the
  state h, the context, the hidden layer) lies within (-1, 1) by construction, being a tanh
  times a sigmoid, an average of such, or a tanh. So the activation scale is the constant 1/127:
  no statistics at run time, no calibration, and nothing to share between rows. The product
  with the embedding is a table with one row per symbol (float16).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from . import data
from .export import DECODER_INPUTS, DECODER_OUTPUTS, OPSET
from .model import G2P

Float = NDArray[np.float32]
Int8 = NDArray[np.int8]

# Weights of integer products keep to 7 bits: u8 x s8 kernels of CPUs without VNNI add pairs of
# products in 16 bits, which 8-bit weights can overflow. Stored-only weights use all 8.
PRODUCT_LIMIT = 63
STORAGE_LIMIT = 127


def quantize_weight(weight: Float, axis: int, limit: int) -> tuple[Int8, Float]:
    """Symmetric int8 with one scale per slice along all axes but `axis`."""
    scale = np.abs(weight).max(axis=axis, keepdims=True).astype(np.float32) / np.float32(limit)
    scale = np.where(scale == 0, np.float32(1), scale)
    return np.clip(np.round(weight / scale), -limit, limit).astype(np.int8), scale


def quantize_encoder(source: Path, target: Path) -> None:
    """Store the weights of LSTM and Gemm as int8, decoded by Cast and Mul at load time."""
    graph_file = onnx.load(source)
    graph = graph_file.graph
    weights = {name for node in graph.node if node.op_type in ("LSTM", "Gemm") for name in node.input[1:3]}
    decoding: list[onnx.NodeProto] = []
    for initializer in list(graph.initializer):
        values = numpy_helper.to_array(initializer)
        if initializer.name not in weights or values.ndim < 2 or initializer.name.endswith("bias"):
            continue
        name = initializer.name
        if values.shape == (2, values.shape[-1]):  # the biases of an LSTM, [directions, 8H]
            continue
        stored, scale = quantize_weight(values, -1, STORAGE_LIMIT)
        graph.initializer.remove(initializer)
        graph.initializer.extend([
            numpy_helper.from_array(stored, f"{name}_int8"), numpy_helper.from_array(scale, f"{name}_scale"),
        ])
        decoding += [
            helper.make_node("Cast", [f"{name}_int8"], [f"{name}_cast"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name]),
        ]
    nodes = decoding + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(graph_file, full_check=True)
    onnx.save(graph_file, target)


class Graph:
    """A list of nodes and constants under construction; every call returns a tensor name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: NDArray[np.generic]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: object) -> str:
        return self.ops(kind, *inputs, names=[name or f"{kind}_{len(self.nodes)}"], **attributes)[0]

    def ops(self, kind: str, *inputs: str, names: list[str], **attributes: object) -> list[str]:
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def split(self, x: str, sizes: list[int]) -> list[str]:
        names = [f"Split_{len(self.nodes)}_{i}" for i in range(len(sizes))]
        return self.ops("Split", x, self.constant(np.array(sizes, np.int64)), names=names, axis=1)

    def quantize(self, x: str) -> str:
        """x within [-1, 1] as uint8 around 128, scale 1/127."""
        return self.op("QuantizeLinear", x, self.constant(np.array(1 / 127, np.float32)), self.constant(np.array(128, np.uint8)))

    def product(self, quantized: str, weight: Float) -> str:
        """A quantised [B,K] times a float weight [K,N], as one integer product."""
        stored, scale = quantize_weight(weight, 0, PRODUCT_LIMIT)
        sums = self.op(
            "MatMulInteger", quantized, self.constant(stored), self.constant(np.array(128, np.uint8)), self.constant(np.array(0, np.int8))
        )
        return self.op("Mul", self.op("Cast", sums, to=TensorProto.FLOAT), self.constant((scale / np.float32(127)).reshape(-1)))


def quantize_decoder(model: G2P, target: Path) -> None:
    """Build the int8 decoding step from the weights of the network; same inputs and outputs as decoder.onnx."""

    def values(weight: Tensor) -> Float:
        return weight.detach().numpy().astype(np.float32)

    size = model.decoder.hidden_size
    # PyTorch orders the gates i, f, g, o; here i, f, o, g, so that one Sigmoid covers three of them.
    order = np.r_[0 : 2 * size, 3 * size : 4 * size, 2 * size : 3 * size]
    w_input, w_state = values(model.decoder.weight_ih_l0)[order], values(model.decoder.weight_hh_l0)[order]
    bias = (values(model.decoder.bias_ih_l0) + values(model.decoder.bias_hh_l0))[order]
    table = values(model.target_embedding.weight) @ w_input.T + bias
    combine = values(model.combine.weight).T  # rows: state, then context

    g = Graph()
    first, second = g.constant(np.array([0], np.int64)), g.constant(np.array([1], np.int64))
    ids = g.op("Squeeze", "input_ids", second)
    h, c = g.op("Squeeze", "state_h", first), g.op("Squeeze", "state_c", first)

    # LSTM step
    gates_input = g.op("Cast", g.op("Gather", g.constant(table.astype(np.float16)), ids), to=TensorProto.FLOAT)
    gates = g.op("Add", g.product(g.quantize(h), w_state.T), gates_input)
    gates_ifo, gate_g = g.split(gates, [3 * size, size])
    gate_i, gate_f, gate_o = g.split(g.op("Sigmoid", gates_ifo), [size] * 3)
    c = g.op("Add", g.op("Mul", gate_f, c), g.op("Mul", gate_i, g.op("Tanh", gate_g)))
    h = g.op("Mul", gate_o, g.op("Tanh", c))
    g.op("Unsqueeze", h, first, name="state_h_out")
    g.op("Unsqueeze", c, first, name="state_c_out")

    # attention; the query and the state's part of the combination are one product
    both = g.product(g.quantize(h), np.concatenate((values(model.query.weight).T, combine[:size]), axis=1))
    query, from_state = g.split(both, [model.query.out_features, combine.shape[1]])
    scores = g.op("MatMul", g.op("Unsqueeze", query, second), g.op("Transpose", "encoder_hidden_states", perm=[0, 2, 1]))
    masked = g.op("Equal", g.op("Unsqueeze", "encoder_attention_mask", second), g.constant(np.array(0, np.int64)))
    scores = g.op("Where", masked, g.constant(np.array(-1e9, np.float32)), scores)
    g.op("Softmax", scores, axis=-1, name="cross_attention")
    context = g.op("Squeeze", g.op("MatMul", "cross_attention", "encoder_hidden_states"), second)

    # output
    from_context = g.product(g.quantize(context), combine[size:])
    hidden = g.op("Tanh", g.op("Add", g.op("Add", from_state, from_context), g.constant(values(model.combine.bias))))
    logits = g.op("Add", g.product(g.quantize(hidden), values(model.output.weight).T), g.constant(values(model.output.bias)))
    g.op("Unsqueeze", logits, second, name="logits")

    memory = model.query.out_features
    shapes: dict[str, tuple[int, list[str | int]]] = {
        "input_ids": (TensorProto.INT64, ["B", 1]),
        "encoder_hidden_states": (TensorProto.FLOAT, ["B", "S", memory]),
        "encoder_attention_mask": (TensorProto.INT64, ["B", "S"]),
        "logits": (TensorProto.FLOAT, ["B", 1, len(data.TARGET_SYMBOLS)]),
        "cross_attention": (TensorProto.FLOAT, ["B", 1, "S"]),
    } | {name: (TensorProto.FLOAT, [1, "B", size]) for name in ("state_h", "state_c", "state_h_out", "state_c_out")}
    graph = helper.make_graph(
        g.nodes, "g2p_decoder_int8",
        [helper.make_tensor_value_info(n, *shapes[n]) for n in DECODER_INPUTS],
        [helper.make_tensor_value_info(n, *shapes[n]) for n in DECODER_OUTPUTS],
        g.constants,
    )
    graph_file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(graph_file, full_check=True)
    onnx.save(graph_file, target)


def quantize(model: G2P, folder: Path) -> None:
    quantize_encoder(folder / "encoder.onnx", folder / "encoder_int8.onnx")
    quantize_decoder(model, folder / "decoder_int8.onnx")
