"""Export of a trained g2p-en network to two ONNX graphs: encoder.onnx and decoder.onnx.

Third step of the recipe. The decoder graph is one step with its state as inputs and
outputs; its fourth output is the attention over the source. quantize.py makes the int8
pair from the same network.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from . import data
from .model import G2P

OPSET = 17
Outputs = tuple[Tensor, Tensor, Tensor]


class EncoderGraph(nn.Module):
    def __init__(self, model: G2P) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, lengths: Tensor) -> Outputs:
        memory, (h, c) = self.model.encode(input_ids, lengths)
        return memory, h, c


class DecoderGraph(nn.Module):
    def __init__(self, model: G2P) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor, state_h: Tensor, state_c: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logits, (h, c), attention = self.model.decode(
            input_ids, encoder_hidden_states, (state_h, state_c), encoder_attention_mask
        )
        return logits, h, c, attention


ENCODER_INPUTS = ["input_ids", "lengths"]
ENCODER_OUTPUTS = ["encoder_hidden_states", "state_h", "state_c"]
DECODER_INPUTS = ["input_ids", "encoder_hidden_states", "encoder_attention_mask", "state_h", "state_c"]
DECODER_OUTPUTS = ["logits", "state_h_out", "state_c_out", "cross_attention"]
AXES: dict[str, dict[int, str]] = {
    "lengths": {0: "B"},
    "encoder_hidden_states": {0: "B", 1: "S"},
    "encoder_attention_mask": {0: "B", 1: "S"},
    "state_h": {1: "B"},
    "state_c": {1: "B"},
    "state_h_out": {1: "B"},
    "state_c_out": {1: "B"},
    "logits": {0: "B"},
    "cross_attention": {0: "B", 2: "S"},
}


def example(batch: int, seed: int = 7, padding: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Random ragged sources: ids [B,S], lengths [B], mask [B,S]; `padding` more columns than needed."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 13, (batch,), generator=generator)
    width = int(lengths.max()) + padding
    mask = (torch.arange(width) < lengths[:, None]).long()
    ids = torch.randint(len(data.SPECIALS), len(data.SOURCE_SYMBOLS), (batch, width), generator=generator)
    ids[torch.arange(batch), lengths - 1] = data.EOS
    return ids * mask, lengths, mask


def export(model: G2P, folder: Path) -> None:
    """Write both fp32 graphs into `folder` and check them against the network."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder, decoder = EncoderGraph(model).eval(), DecoderGraph(model).eval()
    ids, lengths, mask = example(3)
    memory, h, c = encoder(ids, lengths)
    step = torch.full((3, 1), data.BOS)
    torch.onnx.export(
        encoder, (ids, lengths), folder / "encoder.onnx", dynamo=False, opset_version=OPSET,
        input_names=ENCODER_INPUTS, output_names=ENCODER_OUTPUTS,
        dynamic_axes={n: {0: "B", 1: "S"} if n == "input_ids" else AXES[n] for n in ENCODER_INPUTS + ENCODER_OUTPUTS},
    )
    torch.onnx.export(
        decoder, (step, memory, mask, h, c), folder / "decoder.onnx", dynamo=False, opset_version=OPSET,
        input_names=DECODER_INPUTS, output_names=DECODER_OUTPUTS,
        dynamic_axes={n: {0: "B"} if n == "input_ids" else AXES[n] for n in DECODER_INPUTS + DECODER_OUTPUTS},
    )
    difference = verify(model, folder)
    print(f"largest difference between the exported graphs and the network: {difference:.1e}")
    assert difference < 5e-5  # rounding reaches 1e-5 on random letters; a wrong graph is off by 1e-2 and more


@torch.no_grad()
def verify(model: G2P, folder: Path, suffix: str = "") -> float:
    """Largest difference to the network over three steps, at ragged batches of 1, 2 and 5 rows."""
    encoder, decoder = session(folder / f"encoder{suffix}.onnx"), session(folder / f"decoder{suffix}.onnx")
    worst = 0.0
    for batch in (1, 2, 5):
        ids, lengths, mask = example(batch, seed=batch)
        memory, state = model.encode(ids, lengths)
        found_memory, *found_state = encoder.run(None, {"input_ids": ids.numpy(), "lengths": lengths.numpy()})
        pairs = [(memory, found_memory), (state[0], found_state[0]), (state[1], found_state[1])]
        step = torch.full((batch, 1), data.BOS)
        for _ in range(3):
            logits, state, attention = model.decode(step, memory, state, mask)
            feeds = dict(zip(DECODER_INPUTS, [step.numpy(), found_memory, mask.numpy(), *found_state]))
            found_logits, *found_state, found_attention = decoder.run(None, feeds)
            pairs += [(logits, found_logits), (state[0], found_state[0]), (state[1], found_state[1]), (attention, found_attention)]
            assert float(np.abs(found_attention[:, 0][mask.numpy() == 0]).sum()) == 0.0
            step = logits[:, -1:].argmax(-1)
        worst = max([worst] + [float(np.abs(a.numpy() - b).max()) for a, b in pairs])
    return worst


def session(file: Path, threads: int = 1) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
