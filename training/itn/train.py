"""Trains the T5 model for a given number of minutes; the learning rate follows elapsed time, so any box ends decayed.

    python train.py --run RUN_DIR --minutes 75 [--resume]

RUN_DIR/tokenizer comes from tokenizer.py. Checkpoints (weights, average, optimiser, elapsed time) go to RUN_DIR/state.pt
every few minutes; --resume goes on from there with the generator as it is now.
"""

import argparse
import copy
import math
import pathlib
import time

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from generate import Generator, read_tsv, test_inputs
from restore import restore

POOL = 8192
WARM_UP = 300


def make_model(vocabulary):
    return T5ForConditionalGeneration(T5Config(
        vocab_size=vocabulary, d_model=128, d_kv=32, num_heads=4, d_ff=512, num_layers=3, num_decoder_layers=2,
        feed_forward_proj="relu", dropout_rate=0.0, relative_attention_num_buckets=64, relative_attention_max_distance=64,
        tie_word_embeddings=True, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    ))


def batches(generator, tokenizer, excluded, size):
    """Endless batches of rows of like length, from sorted pools."""
    while True:
        pool = [s for s in (generator.sample() for _ in range(POOL)) if s[0] not in excluded]
        sources = tokenizer([s[0] for s in pool])["input_ids"]
        targets = tokenizer([s[1] for s in pool])["input_ids"]
        pairs = sorted(zip(sources, targets), key=lambda p: (len(p[0]), len(p[1])))
        groups = [pairs[i : i + size] for i in range(0, len(pairs), size)]
        generator.rng.shuffle(groups)
        for group in groups:
            yield padded([p[0] for p in group], 0), padded([p[1] for p in group], -100)


def padded(rows, value):
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


def learning_rate(peak, step, progress):
    cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return peak * min(1.0, (step + 1) / WARM_UP) * cosine


@torch.no_grad()
def exact(model, tokenizer, rows):
    hits = 0
    for i in range(0, len(rows), 100):
        part = rows[i : i + 100]
        encoded = tokenizer([r[0] for r in part], return_tensors="pt", padding=True, return_token_type_ids=False)
        out = tokenizer.batch_decode(model.generate(**encoded, max_new_tokens=96, do_sample=False), skip_special_tokens=True)
        hits += sum(o == r[1] for o, r in zip(out, part))
    return hits / len(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=pathlib.Path, help="exported folder whose weights (and tokenizer, in RUN_DIR) the training starts from")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # not on AVX2, where it is emulated, very slowly
    torch.manual_seed(options.seed)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(options.run / "tokenizer")
    model = restore(options.start) if options.start else make_model(len(tokenizer))
    average = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.lr, betas=(0.9, 0.98), weight_decay=0.01)
    done, step, samples, starts = 0.0, 0, 0, 0
    state_file = options.run / "state.pt"
    if options.resume:
        state = torch.load(state_file, weights_only=False)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        done, step, samples, starts = state["done"], state["step"], state["samples"], state["starts"] + 1
    excluded = test_inputs()
    dev = read_tsv("heldout-seed.tsv")[:300]
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(excluded)} excluded inputs, step {step}", flush=True)
    source = batches(Generator(options.seed * 1000 + starts), tokenizer, excluded, options.batch)
    began, budget, saved, running = time.time() - done, options.minutes * 60, done, []
    while (elapsed := time.time() - began) < budget:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(options.lr, step, elapsed / budget)
        ids, labels = next(source)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):  # 1.3 times as fast where there is AVX512-BF16; weights stay float32
            logits = model(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels.clone()).logits
        loss = cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        decay = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        step, samples = step + 1, samples + len(ids)
        running.append(loss.item())
        if step % 200 == 0:
            print(f"{elapsed:6.0f} s  step {step}  samples {samples:,}  loss {sum(running) / len(running):.4f}", flush=True)
            running = []
        if elapsed - saved > 240:
            saved = elapsed
            torch.save({"model": model.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
                        "done": elapsed, "step": step, "samples": samples, "starts": starts}, state_file)
            average.save_pretrained(options.run / "average")
            print(f"{elapsed:6.0f} s  saved; first {len(dev)} of held-out seed: {exact(average, tokenizer, dev):.4f}", flush=True)
    average.save_pretrained(options.run / "average")
    print(f"end: step {step}, {samples:,} samples; first {len(dev)} of held-out seed: {exact(average, tokenizer, dev):.4f}", flush=True)


if __name__ == "__main__":
    main()
