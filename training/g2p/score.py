"""Word and phoneme error rates, as published G2P work counts them.

Used by train.py (dev words, every epoch) and evaluate.py (the exported files).
"""

from __future__ import annotations

import re

from .data import Dictionary


def edit_distance(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def without_stress(phones: str) -> str:
    return re.sub(r"\d", "", phones)


def score(results: dict[str, str], references: Dictionary, stress: bool = True) -> tuple[float, float]:
    """(WER, PER) in per cent.

    A word is right if any of its variants matches. PER counts the edit distance to the nearest
    variant (the first of equals) over the lengths of those variants.
    """
    wrong = edits = length = 0
    for word, variants in references.items():
        result = results[word]
        if not stress:
            result, variants = without_stress(result), [without_stress(v) for v in variants]
        distance, size = min(
            ((edit_distance(result.split(), v.split()), len(v.split())) for v in variants), key=lambda pair: pair[0]
        )
        wrong += distance > 0
        edits += distance
        length += size
    return 100 * wrong / len(references), 100 * edits / length
