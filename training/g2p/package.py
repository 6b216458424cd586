"""The model folder around the graphs: vocabularies, manifest, checksums.

Fifth step of the recipe. The model card (README.md of the folder) is written by hand.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from . import data

VERSION = "1.0.0"
MANIFEST: dict[str, object] = {
    "layout": "recurrent",
    "task": "g2p",
    "description": "Pronunciations of English words: spelling to ARPAbet phonemes with stress",
    "licence": "Apache-2.0; trained on CMUdict (BSD-2-Clause), notices in README.md",
    "version": VERSION,
    "dtype": "int8",
    "encoder": {
        "file": "encoder.onnx",
        "inputs": {"ids": "input_ids", "lengths": "lengths"},
        "outputs": {"memory": "encoder_hidden_states", "states": ["state_h", "state_c"]},
    },
    "decoder": {
        "file": "decoder.onnx",
        "inputs": {
            "ids": "input_ids",
            "memory": "encoder_hidden_states",
            "mask": "encoder_attention_mask",
            "states": ["state_h", "state_c"],
        },
        "outputs": {
            "scores": "logits",
            "scoresAre": "logits",
            "states": ["state_h_out", "state_c_out"],
            "attention": "cross_attention",
        },
    },
    "source": {
        "vocab": "source.txt",
        "split": "characters",
        "lowercase": True,
        "unknown": "reject",
        "appendEos": data.SPECIALS[data.EOS],
        "padToken": data.SPECIALS[data.PAD],
        "padSide": "right",
        "maxLength": 40,
    },
    "target": {
        "vocab": "target.txt",
        "join": " ",
        "bos": data.SPECIALS[data.BOS],
        "eos": data.SPECIALS[data.EOS],
        "maxLength": 32,
    },
}


def package(folder: Path) -> None:
    (folder / "source.txt").write_text("".join(s + "\n" for s in data.SOURCE_SYMBOLS), encoding="utf-8")
    (folder / "target.txt").write_text("".join(s + "\n" for s in data.TARGET_SYMBOLS), encoding="utf-8")
    (folder / "seqserve.json").write_text(json.dumps(MANIFEST, indent=2) + "\n", encoding="utf-8")
    files = sorted([*folder.glob("*.onnx"), *folder.glob("*.txt"), folder / "seqserve.json"])
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
