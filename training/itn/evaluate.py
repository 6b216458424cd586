"""Exact match per class on the three test sets, greedy, through Optimum's ONNX Runtime model.

    python evaluate.py [--model DIR] [--errors N]
"""

import argparse
import collections
import os
import pathlib

os.environ.setdefault("OMP_NUM_THREADS", "1")

import onnxruntime
from optimum.onnxruntime import ORTModelForSeq2SeqLM
from transformers import AutoTokenizer

from generate import read_tsv

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def answers(model, tokenizer, inputs, size=50):
    """Answers in the order of the inputs; rows of like length run together."""
    order = sorted(range(len(inputs)), key=lambda i: len(inputs[i]))
    result = [""] * len(inputs)
    for start in range(0, len(order), size):
        part = order[start : start + size]
        encoded = tokenizer([inputs[i] for i in part], return_tensors="pt", padding=True, return_token_type_ids=False)
        sequences = model.generate(**encoded, num_beams=1, do_sample=False)
        for i, text in zip(part, tokenizer.batch_decode(sequences, skip_special_tokens=True)):
            result[i] = text
    return result


def report(name, rows, outputs, errors):
    total, right = collections.Counter(), collections.Counter()
    for (spoken, written, cls), output in zip(rows, outputs):
        for key in (cls, "all"):
            total[key] += 1
            right[key] += output == written
        if output != written and errors > 0:
            errors -= 1
            print(f"  [{cls}] {spoken}\n      expected {written}\n      got      {output}")
    print(f"{name}")
    for key in sorted(total, key=lambda k: (k == "all", k)):
        print(f"  {key:10} {right[key]:5} / {total[key]:<5} {100 * right[key] / total[key]:6.2f} %")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=pathlib.Path, default=REPOSITORY / "models" / "itn-en")
    parser.add_argument("--sets", nargs="*", default=["heldout-seed", "heldout-template", "challenge"])
    parser.add_argument("--errors", type=int, default=0)
    options = parser.parse_args()
    session = onnxruntime.SessionOptions()
    session.intra_op_num_threads = 1
    model = ORTModelForSeq2SeqLM.from_pretrained(options.model, session_options=session)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    for name in options.sets:
        rows = read_tsv(name + ".tsv")
        report(name, rows, answers(model, tokenizer, [r[0] for r in rows]), options.errors)


if __name__ == "__main__":
    main()
