"""The int8 pair of g2p-en: encoder_int8.onnx and decoder_int8.onnx.

Fourth step of the recipe. ONNX Runtime's dynamic quantisation takes one activation scale per
tensor, so the result of a row would depend on the other rows of its batch. Here it never does:
what enters a large product (the state h of an LSTM, the context, the hidden layer) lies within
(-1, 1) by construction, being a tanh times a sigmoid, an average of such, or a tanh. So the
activation scale is the constant 1/127: no statistics at run time, no calibration, and nothing
for rows to share. Weights have one scale per output channel.

Both graphs are built from the weights of the network, with standard operators only. LSTMs are
written as integer products and gates (the encoder's inside Scan); the products with the
embeddings become tables with one row per symbol (float16). Inputs and outputs are those of the
fp32 graphs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from . import data
from .export import DECODER_INPUTS, DECODER_OUTPUTS, ENCODER_INPUTS, ENCODER_OUTPUTS, OPSET
from .model import G2P

Float = NDArray[np.float32]
Int8 = NDArray[np.int8]
Shape = tuple[int, list[str | int]]  # element type and dimensions

# Weights of integer products keep to 7 bits: u8 x s8 kernels of CPUs without VNNI add pairs of
# products in 16 bits, which 8-bit weights can overflow. Weights that are only stored use all 8.
PRODUCT_LIMIT = 63
STORAGE_LIMIT = 127


def values(weight: Tensor) -> Float:
    return weight.detach().numpy().astype(np.float32)


def quantize_weight(weight: Float, limit: int) -> tuple[Int8, Float]:
    """A matrix [K,N] as symmetric int8 with one scale per column."""
    scale = np.abs(weight).max(axis=0) / np.float32(limit)
    scale = np.where(scale == 0, np.float32(1), scale).astype(np.float32)
    return np.clip(np.round(weight / scale), -limit, limit).astype(np.int8), scale


class Graph:
    """Nodes and constants under construction; every call returns the name of the tensor it makes."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: NDArray[np.generic]) -> str:
        name = f"{self.prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, np.int64))

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        name = name or f"{self.prefix}{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def ops(self, kind: str, inputs: list[str], outputs: int, **attributes: Any) -> list[str]:
        names = [f"{self.prefix}{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def split(self, x: str, *sizes: int) -> list[str]:
        return self.ops("Split", [x, self.integers(*sizes)], len(sizes), axis=-1)

    def quantize(self, x: str) -> str:
        """x within [-1, 1] as uint8 around 128, scale 1/127."""
        return self.op("QuantizeLinear", x, self.constant(np.array(1 / 127, np.float32)), self.constant(np.array(128, np.uint8)))

    def product(self, quantized: str, weight: Float) -> str:
        """A quantised [...,K] times a float weight [K,N], as one integer product."""
        stored, scale = quantize_weight(weight, PRODUCT_LIMIT)
        zeros = self.constant(np.array(128, np.uint8)), self.constant(np.array(0, np.int8))
        sums = self.op("MatMulInteger", quantized, self.constant(stored), *zeros)
        return self.op("Mul", self.op("Cast", sums, to=TensorProto.FLOAT), self.constant(scale / np.float32(127)))

    def linear(self, x: str, layer: nn.Linear) -> str:
        """A float product with a weight that is stored as int8; decoded when the file is loaded."""
        stored, scale = quantize_weight(values(layer.weight).T, STORAGE_LIMIT)
        weight = self.op("Mul", self.op("Cast", self.constant(stored), to=TensorProto.FLOAT), self.constant(scale))
        return self.op("Gemm", x, weight, self.constant(values(layer.bias)))

    def table(self, ids: str, rows: Float) -> str:
        return self.op("Cast", self.op("Gather", self.constant(rows.astype(np.float16)), ids), to=TensorProto.FLOAT)

    def cell(self, gates_input: str, h: str, c: str, weights: Cell) -> tuple[str, str]:
        """One LSTM step; `gates_input` [B,4H] is the input's part of the gates with the biases."""
        size = weights.state.shape[0]
        gates = self.op("Add", self.product(self.quantize(h), weights.state), gates_input)
        gates_ifo, gate_g = self.split(gates, 3 * size, size)
        gate_i, gate_f, gate_o = self.split(self.op("Sigmoid", gates_ifo), size, size, size)
        c = self.op("Add", self.op("Mul", gate_f, c), self.op("Mul", gate_i, self.op("Tanh", gate_g)))
        return self.op("Mul", gate_o, self.op("Tanh", c)), c


class Cell:
    """Weights of one LSTM layer and direction, as [K,4H] with the gates in the order i, f, o, g.

    PyTorch has i, f, g, o; with g last one Sigmoid covers the other three.
    """

    def __init__(self, lstm: nn.LSTM, suffix: str) -> None:
        size = lstm.hidden_size
        order = np.r_[0 : 2 * size, 3 * size : 4 * size, 2 * size : 3 * size]
        part = {n: values(getattr(lstm, f"{n}_{suffix}"))[order] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        self.input: Float = part["weight_ih"].T
        self.state: Float = part["weight_hh"].T
        self.bias: Float = part["bias_ih"] + part["bias_hh"]


def recurrence(g: Graph, gates_input: str, real: str, zeros: str, weights: Cell) -> tuple[str, str, str]:
    """An LSTM over time: gates_input [S,B,4H] -> h [S,B,H], last h and c [B,H].

    `real` [S,B,1] is false at padding, where the state stays as it is.
    """
    prefix = f"step_{len(g.nodes)}_"
    body = Graph(prefix)
    h_in, c_in, x, is_real = (prefix + n for n in ("h_in", "c_in", "x", "real"))
    h, c = body.cell(x, h_in, c_in, weights)
    h = body.op("Where", is_real, h, h_in, name=f"{prefix}h_out")
    c = body.op("Where", is_real, c, c_in, name=f"{prefix}c_out")
    y = body.op("Identity", h, name=f"{prefix}y")
    size = weights.state.shape[0]
    state: Shape = (TensorProto.FLOAT, ["B", size])
    step = helper.make_graph(
        body.nodes, f"{prefix}body",
        [
            helper.make_tensor_value_info(h_in, *state), helper.make_tensor_value_info(c_in, *state),
            helper.make_tensor_value_info(x, TensorProto.FLOAT, ["B", 4 * size]),
            helper.make_tensor_value_info(is_real, TensorProto.BOOL, ["B", 1]),
        ],
        [helper.make_tensor_value_info(n, *state) for n in (h, c, y)],
        body.constants,
    )
    last_h, last_c, every_h = g.ops("Scan", [zeros, zeros, gates_input, real], 3, body=step, num_scan_inputs=2)
    return every_h, last_h, last_c


def build_encoder(model: G2P) -> Graph:
    g = Graph()
    size = model.encoder.hidden_size

    def reverse(x: str) -> str:  # [S,B,...] by the length of each row; padding stays behind
        return g.op("ReverseSequence", x, "lengths", time_axis=0, batch_axis=1)

    ids = g.op("Transpose", "input_ids", perm=[1, 0])
    positions = g.op("Range", g.constant(np.array(0)), g.op("Squeeze", g.op("Shape", ids, start=0, end=1)), g.constant(np.array(1)))
    real = g.op("Less", g.op("Unsqueeze", positions, g.integers(1, 2)), g.op("Unsqueeze", "lengths", g.integers(0, 2)))
    state_shape = g.op("Concat", g.op("Shape", "lengths"), g.integers(size), axis=0)
    zeros = g.op("ConstantOfShape", state_shape, value=numpy_helper.from_array(np.zeros(1, np.float32)))

    embedding = values(model.source_embedding.weight)
    memory = ""
    for layer in range(model.encoder.num_layers):
        ahead, back = Cell(model.encoder, f"l{layer}"), Cell(model.encoder, f"l{layer}_reverse")
        if layer == 0:
            x_ahead = g.table(ids, embedding @ ahead.input + ahead.bias)
            x_back = g.table(reverse(ids), embedding @ back.input + back.bias)
        else:
            both = g.product(g.quantize(memory), np.concatenate((ahead.input, back.input), axis=1))
            both = g.op("Add", both, g.constant(np.concatenate((ahead.bias, back.bias))))
            x_ahead, x_back = g.split(both, 4 * size, 4 * size)
            x_back = reverse(x_back)
        y_ahead, h_ahead, c_ahead = recurrence(g, x_ahead, real, zeros, ahead)
        y_back, h_back, c_back = recurrence(g, x_back, real, zeros, back)
        memory = g.op("Concat", y_ahead, reverse(y_back), axis=-1)

    memory = g.op("Where", real, memory, g.constant(np.array(0, np.float32)))
    g.op("Transpose", memory, perm=[1, 0, 2], name="encoder_hidden_states")
    h = g.op("Tanh", g.linear(g.op("Concat", h_ahead, h_back, axis=-1), model.bridge_h))
    c = g.op("Tanh", g.linear(g.op("Concat", c_ahead, c_back, axis=-1), model.bridge_c))
    g.op("Unsqueeze", h, g.integers(0), name="state_h")
    g.op("Unsqueeze", c, g.integers(0), name="state_c")
    return g


def build_decoder(model: G2P) -> Graph:
    g = Graph()
    weights = Cell(model.decoder, "l0")
    size = model.decoder.hidden_size
    combine = values(model.combine.weight).T  # rows: the state's part, then the context's

    ids = g.op("Squeeze", "input_ids", g.integers(1))
    h, c = g.op("Squeeze", "state_h", g.integers(0)), g.op("Squeeze", "state_c", g.integers(0))
    x = g.table(ids, values(model.target_embedding.weight) @ weights.input + weights.bias)
    h, c = g.cell(x, h, c, weights)
    g.op("Unsqueeze", h, g.integers(0), name="state_h_out")
    g.op("Unsqueeze", c, g.integers(0), name="state_c_out")

    # The query and the state's part of the combination are one product.
    both = g.product(g.quantize(h), np.concatenate((values(model.query.weight).T, combine[:size]), axis=1))
    query, from_state = g.split(both, model.query.out_features, combine.shape[1])
    scores = g.op("MatMul", g.op("Unsqueeze", query, g.integers(1)), g.op("Transpose", "encoder_hidden_states", perm=[0, 2, 1]))
    masked = g.op("Equal", g.op("Unsqueeze", "encoder_attention_mask", g.integers(1)), g.constant(np.array(0)))
    scores = g.op("Where", masked, g.constant(np.array(-1e9, np.float32)), scores)
    g.op("Softmax", scores, axis=-1, name="cross_attention")
    context = g.op("Squeeze", g.op("MatMul", "cross_attention", "encoder_hidden_states"), g.integers(1))

    from_context = g.product(g.quantize(context), combine[size:])
    hidden = g.op("Tanh", g.op("Add", g.op("Add", from_state, from_context), g.constant(values(model.combine.bias))))
    logits = g.op("Add", g.product(g.quantize(hidden), values(model.output.weight).T), g.constant(values(model.output.bias)))
    g.op("Unsqueeze", logits, g.integers(1), name="logits")
    return g


def save(g: Graph, model: G2P, name: str, inputs: list[str], outputs: list[str], file: Path) -> None:
    memory, size = model.query.out_features, model.decoder.hidden_size
    state: Shape = (TensorProto.FLOAT, [1, "B", size])
    shapes: dict[str, Shape] = {
        "input_ids": (TensorProto.INT64, ["B", "S" if name == "encoder" else 1]),
        "lengths": (TensorProto.INT64, ["B"]),
        "encoder_hidden_states": (TensorProto.FLOAT, ["B", "S", memory]),
        "encoder_attention_mask": (TensorProto.INT64, ["B", "S"]),
        "state_h": state, "state_c": state, "state_h_out": state, "state_c_out": state,
        "logits": (TensorProto.FLOAT, ["B", 1, len(data.TARGET_SYMBOLS)]),
        "cross_attention": (TensorProto.FLOAT, ["B", 1, "S"]),
    }
    given, made = ([helper.make_tensor_value_info(n, *shapes[n]) for n in names] for names in (inputs, outputs))
    graph = helper.make_graph(g.nodes, f"g2p_{name}_int8", given, made, g.constants)
    graph_file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(graph_file, full_check=True)
    onnx.save(graph_file, file)


def quantize(model: G2P, folder: Path) -> None:
    save(build_encoder(model), model, "encoder", ENCODER_INPUTS, ENCODER_OUTPUTS, folder / "encoder_int8.onnx")
    save(build_decoder(model), model, "decoder", DECODER_INPUTS, DECODER_OUTPUTS, folder / "decoder_int8.onnx")
