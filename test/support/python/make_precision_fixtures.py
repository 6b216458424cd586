"""Makes test/fixtures/manifests/float16-lstm and float64-gru: recurrent models whose every tensor is half or double precision, with PyTorch's answers.

python test/support/python/make_precision_fixtures.py
Needs what make_manifest_fixtures.py needs. Kernels round halves at different places: texts whose tokens depend on that are left out, and the
float16 answers carry a tolerance of their own.
"""

import shutil

import torch
from torch import nn

from make_manifest_fixtures import HIDDEN, OUT, SIDES, SOURCE, TARGET, WIDE, alike, export, oracle, packed, shaken, stepped, with_eos, write


class HalfEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(SOURCE), 16)
        self.lstm = nn.LSTM(16, HIDDEN, batch_first=True)

    def forward(self, ids, lengths):
        out, (h, c) = packed(self.lstm, self.embed(ids), lengths)
        return out, h, c


class HalfDecoder(nn.Module):
    """Dot attention over the memory; the mask is half precision too."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(TARGET), 16)
        self.lstm = nn.LSTM(16, HIDDEN, batch_first=True)
        self.out = nn.Linear(2 * HIDDEN, len(TARGET))

    def forward(self, ids, memory, mask, h, c):
        out, (h, c) = self.lstm(self.embed(ids), (h, c))
        energy = torch.bmm(out, memory.transpose(1, 2)) + (1 - mask)[:, None] * -1e4
        context = torch.bmm(torch.softmax(energy, -1), memory)
        return self.out(torch.cat([out, context], -1)), h, c


def half_score(encoder, decoder):
    def score(ids, targets):
        n = targets.shape[0]
        memory, h, c = encoder(torch.tensor([ids]), torch.tensor([len(ids)]))
        held = (memory.expand(n, -1, -1).contiguous(), torch.ones(n, len(ids), dtype=memory.dtype))
        states = [state.expand(-1, n, -1).contiguous() for state in (h, c)]
        return decoder(targets, *held, *states)[0].float()

    return score


def half() -> None:
    encoder, decoder = shaken(HalfEncoder(), 2.5).half(), shaken(HalfDecoder(), 2.5).half()
    answers = oracle(half_score(encoder, decoder), with_eos)
    rounded = oracle(half_score(encoder.float(), decoder.float()), with_eos)
    encoder.half(), decoder.half()
    cases = [case for case, other in zip(answers["cases"], rounded["cases"]) if alike(case, other, 2e-2)]
    print(f"  {len(cases)} cases are alike in half and single precision")
    folder = OUT / "float16-lstm"
    middle = {1: "B"}
    export(encoder, folder / "encoder.onnx", {"ids": torch.full((2, 3), 2), "lengths": torch.tensor([3, 2])}, ["memory", "h", "c"], {"ids": WIDE, "lengths": {0: "B"}, "memory": WIDE, "h": middle, "c": middle})
    state = torch.zeros(1, 2, HIDDEN).half()
    example = {"ids": torch.ones(2, 1, dtype=torch.long), "memory": torch.zeros(2, 3, HIDDEN).half(), "mask": torch.ones(2, 3).half(), "h": state, "c": state}
    export(decoder, folder / "decoder.onnx", example, ["logits", "h_out", "c_out"], {"ids": {0: "B"}, "memory": WIDE, "mask": WIDE, "h": middle, "c": middle, "logits": {0: "B"}, "h_out": middle, "c_out": middle})
    manifest = {
        "encoder": {"file": "encoder.onnx", "inputs": {"ids": "ids", "lengths": "lengths"}, "outputs": {"memory": "memory", "states": ["h", "c"]}},
        "decoder": {"file": "decoder.onnx", "inputs": {"ids": "ids", "memory": "memory", "mask": "mask", "states": ["h", "c"]}, "outputs": {"scores": "logits", "states": ["h_out", "c_out"]}},
        **SIDES,
    }
    write("float16-lstm", manifest, {**answers, "cases": cases, "tolerance": 2e-2})


class DoubleEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(SOURCE), 16)
        self.mix = nn.Linear(16, HIDDEN)

    def forward(self, ids, mask):
        memory = torch.tanh(self.mix(self.embed(ids))) * mask[..., None]
        return memory, (memory * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


class DoubleDecoder(nn.Module):
    """A GRU cell spelled out (ONNX Runtime's own has no double precision), input feeding, log-probabilities."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(TARGET), 16)
        self.gates, self.candidate = nn.Linear(16 + 2 * HIDDEN, 2 * HIDDEN), nn.Linear(16 + 2 * HIDDEN, HIDDEN)
        self.out = nn.Linear(2 * HIDDEN, len(TARGET))

    def forward(self, ids, memory, mask, state, context):
        seen = torch.cat([self.embed(ids), context], -1)
        update, reset = torch.sigmoid(self.gates(torch.cat([seen, state], -1))).chunk(2, -1)
        fresh = torch.tanh(self.candidate(torch.cat([seen, reset * state], -1)))
        state = update * state + (1 - update) * fresh
        energy = torch.bmm(memory, state[..., None])[..., 0] + (1 - mask) * -1e9
        context = torch.bmm(torch.softmax(energy, -1)[:, None], memory)[:, 0]
        return torch.log_softmax(self.out(torch.cat([state, context], -1)), -1), state, context


def double() -> None:
    encoder, decoder = shaken(DoubleEncoder(), 3).double(), shaken(DoubleDecoder(), 3).double()

    def score(ids, targets):
        n = targets.shape[0]
        mask = torch.ones(n, len(ids)).double()
        memory, first = (value.expand(n, *value.shape[1:]) for value in encoder(torch.tensor([ids]), mask[:1]))

        def step(token, held):
            scores, *held = decoder(token, memory, mask, *(held or (first, torch.zeros(n, HIDDEN).double())))
            return scores, tuple(held)

        return stepped(step, targets).float()

    folder = OUT / "float64-gru"
    export(encoder, folder / "encoder.onnx", {"ids": torch.full((2, 3), 2), "mask": torch.ones(2, 3).double()}, ["memory", "state"], {"ids": WIDE, "mask": WIDE, "memory": WIDE, "state": {0: "B"}})
    row = torch.zeros(2, HIDDEN).double()
    example = {"ids": torch.ones(2, dtype=torch.long), "memory": torch.zeros(2, 3, HIDDEN).double(), "mask": torch.ones(2, 3).double(), "state": row, "context": row}
    names = ["logprobs", "state_out", "context_out"]
    export(decoder, folder / "decoder.onnx", example, names, {"memory": WIDE, "mask": WIDE, **{name: {0: "B"} for name in ["ids", "state", "context", *names]}})
    manifest = {
        "encoder": {"file": "encoder.onnx", "inputs": {"ids": "ids", "mask": "mask"}, "outputs": {"memory": "memory", "states": ["state"]}},
        "decoder": {
            "file": "decoder.onnx",
            "inputs": {"ids": "ids", "memory": "memory", "mask": "mask", "states": ["state"], "feed": ["context"]},
            "outputs": {"scores": "logprobs", "scoresAre": "logprobs", "states": ["state_out"], "feed": ["context_out"]},
        },
        **SIDES,
    }
    write("float64-gru", manifest, oracle(score, with_eos))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for seed, (kind, make) in enumerate({"float16-lstm": half, "float64-gru": double}.items()):
        shutil.rmtree(OUT / kind, ignore_errors=True)
        torch.manual_seed(33 + seed)
        make()
