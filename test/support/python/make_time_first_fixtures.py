"""Makes test/fixtures/manifests/time-first and time-first-stateless: ids are [S, B] and [T, B], as PyTorch has them without batch_first=True.

python test/support/python/make_time_first_fixtures.py
Needs what make_manifest_fixtures.py needs.
"""

import shutil

import torch
from torch import nn

from make_manifest_fixtures import HIDDEN, OUT, PAD, SIDES, SOURCE, TARGET, TransformerDecoder, TransformerEncoder, export, oracle, shaken, with_eos, write


class Encoder(nn.Module):
    """The tutorials' GRU encoder over [S, B], packed by lengths."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(SOURCE), 16)
        self.gru = nn.GRU(16, HIDDEN, num_layers=2)

    def forward(self, src, src_len):
        out, hidden = self.gru(nn.utils.rnn.pack_padded_sequence(self.embed(src), src_len.cpu(), enforce_sorted=False))
        return nn.utils.rnn.pad_packed_sequence(out)[0], hidden


class Decoder(nn.Module):
    """Tokens [T, B], scores [T, B, V], a mask of padding [S, B]."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(TARGET), 16)
        self.gru = nn.GRU(16, HIDDEN, num_layers=2)
        self.out = nn.Linear(2 * HIDDEN, len(TARGET))

    def forward(self, token, hidden, outputs, padding):
        out, hidden = self.gru(self.embed(token), hidden)
        energy = torch.einsum("tbh,sbh->tbs", out, outputs).masked_fill(padding.t()[None], -1e9)
        weights = torch.softmax(energy, -1)
        context = torch.einsum("tbs,sbh->tbh", weights, outputs)
        return self.out(torch.cat([out, context], -1)), hidden, weights


def recurrent() -> None:
    encoder, decoder = shaken(Encoder(), 2.5), shaken(Decoder(), 2.5)

    def score(ids, targets):
        n = targets.shape[0]
        outputs, hidden = (value.expand(-1, n, -1).contiguous() for value in encoder(torch.tensor([ids]).t(), torch.tensor([len(ids)])))
        return decoder(targets.t(), hidden, outputs, torch.zeros(len(ids), n, dtype=torch.bool))[0].transpose(0, 1)

    folder = OUT / "time-first"
    source, target, middle = {0: "src_len", 1: "batch"}, {0: "trg_len", 1: "batch"}, {1: "batch"}
    export(encoder, folder / "encoder.onnx", {"src": torch.full((3, 2), 2), "lengths": torch.tensor([3, 2])}, ["outputs", "hidden"], {"src": source, "lengths": {0: "batch"}, "outputs": source, "hidden": middle})
    example = {"token": torch.ones(1, 3, dtype=torch.long), "hidden": torch.zeros(2, 3, HIDDEN), "outputs": torch.zeros(4, 3, HIDDEN), "padding": torch.zeros(4, 3, dtype=torch.bool)}
    export(decoder, folder / "decoder.onnx", example, ["scores", "hidden_out", "weights"], {"token": target, "hidden": middle, "outputs": source, "padding": source, "scores": target, "hidden_out": middle, "weights": {**target, 2: "src_len"}})
    manifest = {
        "encoder": {"file": "encoder.onnx", "inputs": {"ids": "src", "lengths": "lengths"}, "outputs": {"memory": "outputs", "states": ["hidden"]}},
        "decoder": {
            "file": "decoder.onnx",
            "inputs": {"ids": "token", "memory": "outputs", "mask": "padding", "states": ["hidden"]},
            "outputs": {"scores": "scores", "states": ["hidden_out"], "attention": "weights"},
        },
        **SIDES,
    }
    write("time-first", manifest, oracle(score, with_eos))


class TimeFirst(nn.Module):
    """What nn.Transformer without batch_first is from outside: [S, B] and [T, B] in, [T, B, V] out."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, src, tgt):
        source = src.t()
        return self.decoder(tgt.t(), self.encoder(source), source != PAD).transpose(0, 1)


def stateless() -> None:
    model = shaken(TimeFirst(TransformerEncoder(), TransformerDecoder()), 2.2)

    def score(ids, targets):
        return model(torch.tensor([ids]).expand(targets.shape[0], -1).t(), targets.t()).transpose(0, 1)

    folder = OUT / "time-first-stateless"
    source, target = {0: "S", 1: "B"}, {0: "T", 1: "B"}
    export(model, folder / "model.onnx", {"src": torch.full((3, 2), 2), "tgt": torch.ones(4, 2, dtype=torch.long)}, ["out"], {"src": source, "tgt": target, "out": target})
    manifest = {"decoder": {"file": "model.onnx", "inputs": {"targets": "tgt", "source": "src"}, "outputs": {"scores": "out"}}, **SIDES}
    write("time-first-stateless", manifest, oracle(score, with_eos))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for seed, (kind, make) in enumerate({"time-first": recurrent, "time-first-stateless": stateless}.items()):
        shutil.rmtree(OUT / kind, ignore_errors=True)
        torch.manual_seed(40 + seed)
        make()
