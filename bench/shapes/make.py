"""Models of real shape with random weights, exported by Optimum, for `npm run bench -- --shapes`: no download needed.

    pip install -r training/itn/requirements.txt
    python bench/shapes/make.py            # writes .cache/shapes/opus-mt and .cache/shapes/t5-small
"""

import sys
from pathlib import Path

import torch
import transformers
from optimum.exporters.onnx import onnx_export_from_model


def opus_mt() -> transformers.PreTrainedModel:
    config = transformers.MarianConfig(
        vocab_size=58101,
        d_model=512,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=2048,
        decoder_ffn_dim=2048,
        max_position_embeddings=512,
        activation_function="swish",
        static_position_embeddings=True,
        scale_embedding=True,
        pad_token_id=58100,
        eos_token_id=0,
        decoder_start_token_id=58100,
    )
    return transformers.MarianMTModel(config)


def t5_small() -> transformers.PreTrainedModel:
    config = transformers.T5Config(
        vocab_size=32128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8, decoder_start_token_id=0
    )
    return transformers.T5ForConditionalGeneration(config)


shapes = {"opus-mt": opus_mt, "t5-small": t5_small}

for name in sys.argv[1:] or shapes:
    torch.manual_seed(1)
    folder = Path(".cache/shapes") / name
    model = shapes[name]().eval()
    onnx_export_from_model(model=model, output=folder, task="text2text-generation-with-past", do_validation=False)
    # The merged decoder alone, as people publish it.
    for half in ("decoder_model.onnx", "decoder_with_past_model.onnx"):
        (folder / half).unlink(missing_ok=True)
