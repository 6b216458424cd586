"""The whole recipe of g2p-en in one command: data, training, export, int8, folder, evaluation.

    python -m training.g2p.run --minutes 98

Run from the root of the repository. Everything intermediate goes to the (ignored) work
folder, the model to models/g2p-en. Where the work folder has a checkpoint, the training
resumes; where its time box is used up, only the later steps run.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not spin where cores are shared
os.environ.setdefault("OMP_NUM_THREADS", "1")  # train.py sets the number while it runs

from . import data, evaluate  # noqa: E402
from .export import export  # noqa: E402
from .package import package  # noqa: E402
from .quantize import quantize  # noqa: E402
from .restore import restore  # noqa: E402
from .score import score  # noqa: E402
from .train import Settings, load_average, train  # noqa: E402

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Train, export and evaluate g2p-en.")
    parser.add_argument("--minutes", type=float, default=98, help="time box of the training")
    parser.add_argument("--work", type=Path, default=HERE / "runs", help="folder for data and checkpoints")
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "models" / "g2p-en", help="the model folder to write")
    parser.add_argument("--peak-rate", type=float, default=Settings.peak_rate, help="peak learning rate")
    parser.add_argument("--start", type=Path, help="exported folder whose weights the training starts from")
    arguments = parser.parse_args()

    words = data.load(data.fetch(arguments.work / "data"))
    train_words, dev_words, test_words = data.split(words)
    data.write_references(test_words)
    settings = Settings(minutes=arguments.minutes, peak_rate=arguments.peak_rate)
    start = restore(arguments.start) if arguments.start else None
    checkpoint = train(settings, arguments.work, train_words, dev_words, score, start)
    model = load_average(checkpoint)
    export(model, arguments.folder)
    quantize(model, arguments.folder)
    package(arguments.folder)
    evaluate.evaluate(arguments.folder)


if __name__ == "__main__":
    main()
