"""The network of g2p-en: BiLSTM encoder, LSTM decoder, Luong "general" attention.

No input feeding: in training the whole teacher-forced target runs as one LSTM call, and
the exported decoding step is one plain LSTM step. train.py trains it, export.py wraps it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .data import PAD, SOURCE_SYMBOLS, TARGET_SYMBOLS

State = tuple[Tensor, Tensor]


class G2P(nn.Module):
    def __init__(self, embedding: int = 96, encoder: int = 192, decoder: int = 384, dropout: float = 0.2) -> None:
        super().__init__()
        memory = 2 * encoder
        self.source_embedding = nn.Embedding(len(SOURCE_SYMBOLS), embedding, padding_idx=PAD)
        self.target_embedding = nn.Embedding(len(TARGET_SYMBOLS), embedding, padding_idx=PAD)
        self.encoder = nn.LSTM(embedding, encoder, num_layers=2, bidirectional=True, batch_first=True, dropout=dropout)
        self.bridge_h = nn.Linear(memory, decoder)
        self.bridge_c = nn.Linear(memory, decoder)
        self.decoder = nn.LSTM(embedding, decoder, batch_first=True)
        self.query = nn.Linear(decoder, memory, bias=False)
        self.combine = nn.Linear(decoder + memory, decoder)
        self.output = nn.Linear(decoder, len(TARGET_SYMBOLS))
        self.dropout = nn.Dropout(dropout)

    def encode(self, ids: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        """ids [B,S] -> memory [B,S,H], decoder state [1,B,H] twice.

        Without `lengths` all rows must be of one length (training batches are); with them
        the padding of shorter rows has no influence.
        """
        x = self.dropout(self.source_embedding(ids))
        if lengths is None:
            memory, (h, c) = self.encoder(x)
        else:
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            packed, (h, c) = self.encoder(packed)
            memory, _ = nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
        h = torch.tanh(self.bridge_h(torch.cat((h[-2], h[-1]), dim=-1)))
        c = torch.tanh(self.bridge_c(torch.cat((c[-2], c[-1]), dim=-1)))
        return memory, (h.unsqueeze(0), c.unsqueeze(0))

    def decode(self, ids: Tensor, memory: Tensor, state: State, mask: Tensor | None = None) -> tuple[Tensor, State, Tensor]:
        """ids [B,T] -> logits [B,T,V], state after T symbols, attention [B,T,S].

        `mask` [B,S] is 1 for real source positions; masked ones get a weight of exactly zero.
        """
        q, state = self.decoder(self.dropout(self.target_embedding(ids)), state)
        q = self.dropout(q)
        scores = torch.matmul(self.query(q), memory.transpose(1, 2))
        if mask is not None:
            scores = scores.masked_fill(mask.unsqueeze(1) == 0, -1e9)
        attention = torch.softmax(scores, dim=-1)
        context = torch.matmul(attention, memory)
        hidden = torch.tanh(self.combine(torch.cat((q, context), dim=-1)))
        return self.output(self.dropout(hidden)), state, attention

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Teacher-forced logits of a batch whose sources are of one length."""
        memory, state = self.encode(source)
        return self.decode(target, memory, state)[0]
