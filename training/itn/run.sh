#!/usr/bin/env bash
# Tokenizer, training, export and evaluation in one go: ./run.sh [MINUTES] (default 80), in a Python 3.11 environment of its own.
set -euo pipefail
cd "$(dirname "$0")"
minutes="${1:-80}"
run="runs/latest"
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

python3 -m venv "${VENV:-.venv}"
. "${VENV:-.venv}/bin/activate"
pip install --quiet --requirement requirements.txt

mkdir -p "$run"
python tokenizer.py "$run/tokenizer"
python train.py --run "$run" --minutes "$minutes"
python export.py --run "$run"
python evaluate.py
