"""The whole recipe of g2p-en in one command: data, training, export, int8, evaluation.

    python -m training.g2p.run --minutes 90

Run from the root of the repository. Everything intermediate goes to the (ignored) work
folder, the model to models/g2p-en. With an existing checkpoint the training resumes.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not spin where cores are shared
os.environ.setdefault("OMP_NUM_THREADS", "1")  # train.py sets the number while it runs

from . import data  # noqa: E402
from .score import score  # noqa: E402
from .train import Settings, train  # noqa: E402

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Train, export and evaluate g2p-en.")
    parser.add_argument("--minutes", type=float, default=90, help="time box of the training")
    parser.add_argument("--work", type=Path, default=HERE / "runs", help="folder for data and checkpoints")
    parser.add_argument("--train-only", action="store_true")
    arguments = parser.parse_args()
    words = data.load(data.fetch(arguments.work / "data"))
    train_words, dev_words, _ = data.split(words)
    train(Settings(minutes=arguments.minutes), arguments.work, train_words, dev_words, score)


if __name__ == "__main__":
    main()
