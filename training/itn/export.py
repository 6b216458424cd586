"""Exports a trained run with Optimum to OUT (default: models/itn-en of this repository) and writes the small files beside.

    python export.py --run RUN_DIR [--out DIR]

Only the merged decoder is shipped: it holds both branches (first step, later steps with the cache) and the weights once.
"""

import argparse
import hashlib
import json
import pathlib
import shutil
import tempfile

from optimum.exporters.onnx import main_export
from transformers import GenerationConfig, PreTrainedTokenizerFast, T5ForConditionalGeneration

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = ["encoder_model.onnx", "decoder_model_merged.onnx", "config.json", "generation_config.json",
           "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
MANIFEST = {
    "task": "itn",
    "description": "English inverse text normalisation: spoken words to written dates, times, money, numbers, measures and digit strings",
    "licence": "Apache-2.0",
    "version": "1.0.0",
    "limits": {"maxInputTokens": 128, "maxNewTokens": 128, "maxBeams": 8},
}


def prepare(run, folder):
    model = T5ForConditionalGeneration.from_pretrained(run / "average")
    model.generation_config = GenerationConfig(decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, max_new_tokens=128, num_beams=1, do_sample=False)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast.from_pretrained(run / "tokenizer").save_pretrained(folder)


def write_sums(out):
    names = sorted(p.name for p in out.iterdir() if p.is_file() and p.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (out / "SHA256SUMS").write_text("".join(lines))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=REPOSITORY / "models" / "itn-en")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        source, target = pathlib.Path(temporary) / "hf", pathlib.Path(temporary) / "onnx"
        prepare(options.run, source)
        main_export(str(source), output=str(target), task="text2text-generation-with-past", device="cpu")
        for name in SHIPPED:
            shutil.copy(target / name, options.out / name)
    (options.out / "seqserve.json").write_text(json.dumps(MANIFEST, indent=2) + "\n")
    write_sums(options.out)


if __name__ == "__main__":
    main()
