"""Training of g2p-en: one network, one time box, weights averaged over the steps (EMA).

Second step of the recipe. Takes the splits of data.py, trains model.py on the CPU and
leaves `checkpoint.pt` (to resume) with the averaged weights export.py ships. The learning
rate follows elapsed / budget, so a run of any length ends with a decayed rate.

A file `threads` in the work folder, re-read at the start of every epoch, sets the number of
threads while the training runs (one by default: sharing cores with spinning threads is slow).
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from . import data
from .model import G2P

Pair = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Settings:
    minutes: float
    batch: int = 128
    peak_rate: float = 1.5e-3
    final_rate: float = 0.01  # of the peak
    warm_up: int = 500  # steps
    weight_decay: float = 0.01
    dropout: float = 0.3
    smoothing: float = 0.1
    clip: float = 1.0
    ema: float = 0.9995
    # Autocast. oneDNN has bfloat16 LSTM kernels, twice as fast where the CPU has AVX512-BF16, and none at all for AVX2.
    bfloat16: bool = field(default_factory=torch.ops.mkldnn._is_mkldnn_bf16_supported)
    seed: int = 1


def pairs(words: data.Dictionary) -> list[Pair]:
    return [(data.encode_word(w), data.encode_phones(p)) for w, variants in words.items() for p in variants]


def batches(items: list[Pair], size: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Shuffled batches (source, target input, target output) of one source length each, so that nothing is packed."""
    rng = random.Random(seed)
    keyed = sorted(items, key=lambda p: (len(p[0]), len(p[1]) + rng.uniform(-1.5, 1.5)))
    cuts: list[list[Pair]] = []
    for pair in keyed:
        if not cuts or len(cuts[-1]) == size or len(cuts[-1][0][0]) != len(pair[0]):
            cuts.append([])
        cuts[-1].append(pair)
    rng.shuffle(cuts)
    for cut in cuts:
        width = max(len(t) for _, t in cut)
        source = torch.tensor([s for s, _ in cut])
        output = torch.tensor([t + [data.PAD] * (width - len(t)) for _, t in cut])
        begin = torch.full((len(cut), 1), data.BOS)
        yield source, torch.cat((begin, output[:, :-1]), dim=1), output


@torch.no_grad()
def greedy(model: G2P, words: list[str], size: int = 256, limit: int = 32) -> dict[str, str]:
    """Greedy pronunciations; words of one length at a time."""
    model.eval()
    results: dict[str, str] = {}
    groups: dict[int, list[str]] = {}
    for word in words:
        groups.setdefault(len(word), []).append(word)
    for group in groups.values():
        for start in range(0, len(group), size):
            part = group[start : start + size]
            memory, state = model.encode(torch.tensor([data.encode_word(w) for w in part]))
            ids = torch.full((len(part), 1), data.BOS)
            rows: list[Tensor] = []
            done = torch.zeros(len(part), dtype=torch.bool)
            while len(rows) < limit and not done.all():
                logits, state, _ = model.decode(ids, memory, state)
                ids = logits[:, -1:].argmax(-1)
                rows.append(ids)
                done |= ids[:, 0] == data.EOS
            table = torch.cat(rows, dim=1).tolist()
            for word, row in zip(part, table):
                end = row.index(data.EOS) if data.EOS in row else len(row)
                results[word] = data.decode_phones(row[:end])
    return results


def train(
    settings: Settings,
    work: Path,
    train_words: data.Dictionary,
    dev_words: data.Dictionary,
    score: Callable[[dict[str, str], data.Dictionary], tuple[float, float]],
    start: G2P | None = None,
) -> Path:
    """Run (or resume) the training in `work`, from the weights of `start` if given, and return the checkpoint."""
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "checkpoint.pt"
    torch.manual_seed(settings.seed)
    model = G2P(dropout=settings.dropout)
    if start is not None:
        model.load_state_dict(start.state_dict())
    average = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.peak_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay, fused=True
    )
    step, epoch, elapsed = 0, 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        step, epoch, elapsed = saved["step"], saved["epoch"], saved["elapsed"]
    items = pairs(train_words)
    budget = settings.minutes * 60
    started = time.monotonic() - elapsed

    while (elapsed := time.monotonic() - started) < budget:
        torch.set_num_threads(read_threads(work / "threads"))
        model.train()
        total, tokens, begun = 0.0, 0, time.monotonic()
        for source, target, output in batches(items, settings.batch, settings.seed * 1000 + epoch):
            progress = (time.monotonic() - started) / budget
            if progress >= 1:
                break
            rate = settings.peak_rate * min(
                (step + 1) / settings.warm_up,
                settings.final_rate + (1 - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * progress)),
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bfloat16):
                logits = model(source, target)
            count = int((output != data.PAD).sum())
            loss = F.cross_entropy(
                logits.float().flatten(0, 1), output.flatten(), ignore_index=data.PAD,
                label_smoothing=settings.smoothing, reduction="sum",
            )
            optimizer.zero_grad()
            torch.autograd.backward(loss / max(count, 4 * settings.batch))  # the small remainder batches weigh less
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            step += 1
            decay = min(settings.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
            total, tokens = total + loss.item(), tokens + count
        epoch += 1
        elapsed = time.monotonic() - started
        state = {
            "model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(),
            "rng": torch.get_rng_state(), "step": step, "epoch": epoch, "elapsed": elapsed,
        }
        torch.save(state, work / "checkpoint.tmp")
        (work / "checkpoint.tmp").replace(checkpoint)
        wer, per = score(greedy(average, list(dev_words)), dev_words)
        print(
            f"epoch {epoch} step {step} minutes {elapsed / 60:.1f} epoch_seconds {time.monotonic() - begun:.0f} "
            f"threads {torch.get_num_threads()} rate {rate:.2e} loss {total / max(tokens, 1):.4f} dev WER {wer:.2f} PER {per:.2f}",
            flush=True,
        )
    return checkpoint


def load_average(checkpoint: Path) -> G2P:
    """The averaged network of a checkpoint, in evaluation mode."""
    model = G2P()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return model.eval()


def read_threads(path: Path) -> int:
    try:
        return max(1, int(path.read_text()))
    except (OSError, ValueError):
        return 1
