"""Evaluation of the exported files: error rates, agreement, independence of rows, speed, size.

    python -m training.g2p.evaluate [--folder models/g2p-en]

Last step of the recipe; runs the ONNX files only. References are test-references.tsv (CMUdict
as in the npm package) and pronasyl-references.tsv (the classic split's own, without stress).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray

from . import data
from .export import DECODER_INPUTS, session
from .score import score, without_stress

Array = NDArray[np.float32]
LIMIT = 32
ROOT = Path(__file__).resolve().parents[2]


class Pair:
    """An encoder and a decoder file, decoded greedily."""

    def __init__(self, folder: Path, suffix: str, threads: int = 1) -> None:
        files = [folder / f"{part}{suffix}.onnx" for part in ("encoder", "decoder")]
        self.bytes = sum(f.stat().st_size for f in files)
        self.encoder, self.decoder = (session(f, threads) for f in files)

    def run(self, words: list[str], multiple: int = 8) -> tuple[list[str], list[list[Array]]]:
        """Pronunciations of one batch and, for every step, [logits, h, c, attention]."""
        rows = [data.encode_word(w) for w in words]
        lengths = np.array([len(r) for r in rows])
        width = -(-int(lengths.max()) // multiple) * multiple
        ids = np.array([r + [data.PAD] * (width - len(r)) for r in rows])
        mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
        memory, h, c = self.encoder.run(None, {"input_ids": ids, "lengths": lengths})
        last = np.full((len(words), 1), data.BOS)
        results: list[list[int]] = [[] for _ in words]
        done = np.zeros(len(words), bool)
        steps: list[list[Array]] = []
        while len(steps) < LIMIT and not done.all():
            logits, h, c, attention = self.decoder.run(None, dict(zip(DECODER_INPUTS, [last, memory, mask, h, c])))
            steps.append([logits[:, 0], h[0], c[0], attention[:, 0]])
            last = logits.argmax(-1)
            done |= last[:, 0] == data.EOS
            for i in np.flatnonzero(~done):
                results[i].append(int(last[i, 0]))
        return [data.decode_phones(r) for r in results], steps

    def all(self, words: list[str], size: int) -> tuple[dict[str, str], float]:
        """Pronunciations of all words in batches, and milliseconds of CPU time per word."""
        results: dict[str, str] = {}
        begun = time.process_time()
        for start in range(0, len(words), size):
            part = words[start : start + size]
            results.update(zip(part, self.run(part)[0]))
        return results, 1000 * (time.process_time() - begun) / len(words)

    def dependence(self, words: list[str], size: int, multiple: int) -> float:
        """Largest difference of any step's logits, states and attention between rows of ragged batches and rows alone."""
        worst = 0.0
        for start in range(0, len(words) - size + 1, size):
            part = words[start : start + size]
            _, together = self.run(part, multiple)
            for i, word in enumerate(part):
                _, alone = self.run([word], multiple)
                for step, other in zip(alone, together):
                    for a, b in zip(step, other):
                        width = min(a.shape[1], b.shape[1])  # attention: the wider has zeros behind
                        worst = max(worst, float(np.abs(a[0, :width] - b[i, :width]).max()), float(np.abs(b[i, width:]).sum()))
        return worst


def evaluate(folder: Path, threads: int = 1) -> None:
    references, pronasyl = data.read_references(data.TEST_REFERENCES), data.read_references(data.PRONASYL_REFERENCES)
    words = data.TEST_WORDS.read_text(encoding="utf-8").split()
    found: dict[str, dict[str, str]] = {}
    print(f"onnxruntime {ort.__version__}, {threads} thread(s), {len(references)} words with references")
    for name, suffix in (("fp32", ""), ("int8", "_int8")):
        pair = Pair(folder, suffix, threads)
        results, batched = pair.all(words, 32)
        found[name] = results
        _, single = pair.all(words[:1000], 1)
        print(f"{name}: {pair.bytes} bytes, CPU ms per word {single:.2f} one by one, {batched:.2f} in batches of 32")
        for label, stress in (("with stress", True), ("without stress", False)):
            wer, per = score(results, references, stress)
            print(f"  {label}: WER {wer:.2f} PER {per:.2f}")
        wer, per = score({w: without_stress(r) for w, r in results.items()}, pronasyl)
        print(f"  PRONASYL references, without stress: WER {wer:.2f} PER {per:.2f}")
        for multiple in (8, 1):
            worst = {size: pair.dependence(words[:96], size, multiple) for size in (2, 8, 13, 32)}
            print(f"  rows of a batch against rows alone, widths in multiples of {multiple}: {worst}")
    same = sum(found["fp32"][w] == found["int8"][w] for w in words)
    print(f"int8 agrees with fp32 on {100 * same / len(words):.2f} % of {len(words)} words")


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate the exported g2p-en files.")
    parser.add_argument("--folder", type=Path, default=ROOT / "models" / "g2p-en")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    evaluate(arguments.folder, arguments.threads)


if __name__ == "__main__":
    main()
