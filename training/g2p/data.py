"""Data of the g2p-en recipe: fetch the dictionary, clean it, split it, number it.

Stands first in the recipe: train.py, export.py and evaluate.py take words, splits and
vocabularies from here. The dictionary itself (CMUdict, as the npm package
`cmu-pronouncing-dictionary`) is fetched with the npm client and never stored in the
repository; the test words and their references are (test-words.txt, test-references.tsv).
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
from pathlib import Path

PACKAGE = "cmu-pronouncing-dictionary"
VERSION = "3.0.0"
HERE = Path(__file__).resolve().parent
TEST_WORDS = HERE / "test-words.txt"
TEST_REFERENCES = HERE / "test-references.tsv"
PRONASYL_REFERENCES = HERE / "pronasyl-references.tsv"  # without stress; what published figures compare with

PAD, BOS, EOS = 0, 1, 2
SPECIALS = ["<pad>", "<s>", "</s>"]
SOURCE_SYMBOLS = SPECIALS + list("'abcdefghijklmnopqrstuvwxyz")
VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split()
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split()
TARGET_SYMBOLS = SPECIALS + sorted(CONSONANTS + [v + s for v in VOWELS for s in "012"])

Dictionary = dict[str, list[str]]


def fetch(folder: Path) -> Path:
    """Download the pinned dictionary package into `folder` (once) and return its index.js."""
    index = folder / "package" / "index.js"
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", f"{PACKAGE}@{VERSION}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(folder / f"{PACKAGE}-{VERSION}.tgz") as archive:
            archive.extractall(folder, filter="data")
    return index


def load(index: Path) -> Dictionary:
    """Words with all their pronunciations, cleaned, in the dictionary's order."""
    text = index.read_text(encoding="utf-8")
    entries: dict[str, str] = json.loads(text.split("export const dictionary =", 1)[1])
    known = set(TARGET_SYMBOLS[len(SPECIALS):])
    words: Dictionary = {}
    for key, value in entries.items():
        word = re.sub(r"\(\d+\)$", "", key)  # "abdomen(2)" is a variant of "abdomen"
        phones = value.split("#", 1)[0].split()  # text after '#' is a remark
        if not re.fullmatch(r"[a-z']+", word) or not phones or not set(phones) <= known:
            continue
        variants = words.setdefault(word, [])
        if " ".join(phones) not in variants:
            variants.append(" ".join(phones))
    return words


def split(words: Dictionary) -> tuple[Dictionary, Dictionary, Dictionary]:
    """(train, dev, test): test is a fixed list, dev is 2 % of the rest by the hash of the word."""
    test_words = TEST_WORDS.read_text(encoding="utf-8").split()
    test = {w: words[w] for w in test_words if w in words}
    train: Dictionary = {}
    dev: Dictionary = {}
    held_out = set(test_words)
    for word, variants in words.items():
        if word in held_out:
            continue
        digest = int(hashlib.sha256(word.encode()).hexdigest()[:8], 16)
        (dev if digest % 50 == 0 else train)[word] = variants
    return train, dev, test


def encode_word(word: str) -> list[int]:
    """Source ids of a word, with `</s>`."""
    return [SOURCE_SYMBOLS.index(c) for c in word] + [EOS]


def encode_phones(phones: str) -> list[int]:
    """Target ids of a pronunciation, with `</s>`."""
    return [TARGET_SYMBOLS.index(p) for p in phones.split()] + [EOS]


def decode_phones(ids: list[int]) -> str:
    return " ".join(TARGET_SYMBOLS[i] for i in ids)


def write_references(test: Dictionary) -> None:
    """test-references.tsv: what the evaluation through the server compares with."""
    lines = [f"{word}\t{' | '.join(variants)}\n" for word, variants in test.items()]
    TEST_REFERENCES.write_text("".join(lines), encoding="utf-8")


def read_references(file: Path) -> Dictionary:
    pairs = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines())
    return {word: references.split(" | ") for word, references in pairs}
