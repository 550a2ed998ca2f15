"""The network of the Controllable Music Transformer in plain torch.

Twelve post-norm layers of causal *linear* attention (feature map elu + 1), so that a song of any length is generated
from a state of constant size. `PaperNetwork.forward` is the parallel form for training; `PaperNetwork.step` computes
the same numbers one token at a time from a `State`.

Shapes: B batch, T tokens, W width, H heads, D width of a head, L layers.

Source: Di et al. 2021, section 4; the released code for what the paper leaves open (see ARCHITECTURE.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from cmt_bridge.core.tokens import CLASSES, SAMPLED, Column

__all__ = [
    "PaperConfig",
    "PaperNetwork",
    "State",
    "causal_linear_attention",
    "feature_map",
    "frequencies",
    "initial_tokens",
    "sinusoids",
]

ATTENTION_EPS = 1e-6
CHUNK = 64  # tokens handled at once by the parallel form; a matter of speed only


@dataclass(frozen=True, slots=True)
class PaperConfig:
    """The shape of a network; the defaults are the paper's.

    `embeddings` has the widths of columns 0..6, `initial_classes` those of genre, key and instrument tokens.
    `position_period` is the number of positions after which the position wraps, 0 for never: a network does not know
    positions beyond its training length. `memory` is the number of words it learned to remember, 0 for any: a state
    that sums up more than in training is one that the network has never met.
    """

    layers: int = 12
    heads: int = 8
    width: int = 512
    feed_forward: int = 2048
    embeddings: tuple[int, ...] = (64, 32, 64, 512, 128, 32, 64)
    timing_embedding: int = 256
    initial_embedding: int = 64
    initial_classes: tuple[int, ...] = (7, 1, 6)
    dropout: float = 0.1
    position_period: int = 0
    memory: int = 0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PaperConfig:
        """Read what `to_json` gave; lists become tuples."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class State(NamedTuple):
    """All that the past leaves behind: constant in size, whatever the length.

    `memory` (L, B, H, D, D) sums the outer products of keys and values, `norm` (L, B, H, D) the keys.
    """

    memory: Tensor
    norm: Tensor


def feature_map(x: Tensor) -> Tensor:
    """Map queries and keys to positive features, elu(x) + 1 (Katharopoulos et al. 2020, Eq. 7)."""
    return F.elu(x) + 1


def causal_linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend to every earlier token in linear time; all shapes (B, H, T, D), q and k already positive, v of their type.

    Chunks of the sequence see each other through the running sum of keys times values, and themselves through a masked
    product: the same sums as the recurrent form, in matrix products. Sums that run over chunks are always in float32:
    in bfloat16 they would lose the past. Products are in the type of the inputs, and so is the result.
    """
    with torch.autocast(q.device.type, enabled=False):
        return _chunked_attention(q, k, v)


def _chunked_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    batch, heads, length, width = q.shape
    padding = -length % CHUNK
    q, k, v = (F.pad(x, (0, 0, 0, padding)).reshape(-1, CHUNK, width) for x in (q, k, v))  # (B * H * chunks, C, D)
    chunks = (batch, heads, -1)
    memory = _sum_before((k.transpose(-1, -2) @ v).reshape(*chunks, width, width)).flatten(
        0, 2
    )  # (B * H * chunks, D, D)
    norm = _sum_before(k.sum(-2, dtype=torch.float32).reshape(*chunks, width)).flatten(0, 2)  # (B * H * chunks, D)
    weights = (q @ k.transpose(-1, -2)).tril_()
    numerator = torch.baddbmm(weights @ v, q, memory.to(q.dtype))
    denominator = (q @ norm.to(q.dtype).unsqueeze(-1)).float() + weights.sum(-1, keepdim=True, dtype=torch.float32)
    out = numerator / (denominator + ATTENTION_EPS).to(q.dtype)
    return out.reshape(batch, heads, -1, width)[:, :, :length]


def _sum_before(x: Tensor) -> Tensor:
    """Return the sum, in float32, of all chunks (B, H, chunks, …) before each."""
    chunks = x.shape[2]
    before = torch.ones(chunks, chunks, device=x.device).tril_(-1)
    return (before @ x.float().flatten(3)).view(x.shape)


class Dropout(nn.Dropout):
    """Drop values at random; on a processor from 16 random bits each, a third of the time that torch takes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0 or x.device.type != "cpu":
            return super().forward(x)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= round(self.p * 2**16) - 2**15
        return x * kept.to(x.dtype).mul_(1.0 / (1.0 - self.p))


def frequencies(width: int) -> Tensor:
    """Return the angular frequencies (W / 2) of the sinusoidal positions, per tick (Vaswani et al. 2017,
    section 3.5).
    """
    return (torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width)).exp()


def sinusoids(position: Tensor, frequency: Tensor) -> Tensor:
    """Return the position features (..., W) of positions (...): sine and cosine of every frequency, interleaved."""
    angle = position.unsqueeze(-1).to(frequency.dtype) * frequency
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(-2)


class Layer(nn.Module):
    """One post-norm encoder layer."""

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.expand = nn.Linear(width, config.feed_forward)
        self.contract = nn.Linear(config.feed_forward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = Dropout(config.dropout)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(-3, -2)  # (B, T, W) -> (B, H, T, D)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, W) to (B, T, W)."""
        parts = self.query, self.key, self.value
        weight, bias = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
        q, k, v = (self._split(part) for part in F.linear(x, weight, bias).chunk(3, -1))
        attended = causal_linear_attention(feature_map(q), feature_map(k), v).transpose(-3, -2).flatten(-2)
        return self._rest(x, attended)

    def step(self, x: Tensor, memory: Tensor, norm: Tensor) -> Tensor:
        """Map one token (B, W), adding it in place to `memory` (B, H, D, D) and `norm` (B, H, D)."""
        q, k, v = (project(x).reshape(len(x), self.heads, -1) for project in (self.query, self.key, self.value))
        q, k = feature_map(q), feature_map(k)
        memory += k.unsqueeze(-1) * v.unsqueeze(-2)
        norm += k
        numerator = (q.unsqueeze(-2) @ memory).squeeze(-2)
        denominator = (q * norm).sum(-1, keepdim=True) + ATTENTION_EPS
        return self._rest(x, (numerator / denominator).flatten(-2))

    def _rest(self, x: Tensor, attended: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout(self.out(attended)))
        hidden = self.dropout(F.gelu(self.expand(x)))
        return self.norm2(x + self.dropout(self.contract(hidden)))  # type: ignore[no-any-return]


class PaperNetwork(nn.Module):
    """Compound words in, hidden states and logits out."""

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.initial = nn.ModuleList(nn.Embedding(n, config.initial_embedding) for n in config.initial_classes)
        self.initial_in = nn.Linear(config.initial_embedding * len(config.initial_classes), width)
        self.embed = nn.ModuleList(
            nn.Embedding(classes, size) for classes, size in zip(CLASSES, config.embeddings, strict=False)
        )
        self.embed_in = nn.Linear(sum(config.embeddings), width)
        self.timing = nn.Embedding(CLASSES[Column.TIMING], config.timing_embedding)
        self.timing_in = nn.Linear(config.timing_embedding, width)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.type_head = nn.Linear(width, CLASSES[Column.TYPE])
        self.join_type = nn.Linear(width + config.embeddings[Column.TYPE], width)
        self.heads = nn.ModuleList(nn.Linear(width, CLASSES[column]) for column in SAMPLED)
        self.frequencies: Tensor  # kept with the weights: a last bit of it is 5e-4 of a sinusoid at position 5,000
        self.register_buffer("frequencies", frequencies(width))

    @property
    def tables(self) -> list[nn.Embedding]:
        """The embeddings of columns 0..6."""
        return [cast(nn.Embedding, table) for table in self.embed]

    @property
    def blocks(self) -> list[Layer]:
        """The layers, first to last."""
        return [cast(Layer, layer) for layer in self.layers]

    def positions(self, position: Tensor) -> Tensor:
        """Return the features (..., W) of positions (...) in ticks."""
        if self.config.position_period:
            position = position % self.config.position_period
        return sinusoids(position, self.frequencies)

    def embed_initial(self, tokens: Tensor) -> Tensor:
        """Embed the tokens (B, n, 3) of genre, key and instruments that stand before a song; no position."""
        scale = math.sqrt(self.config.initial_embedding)
        parts = [table(tokens[..., i]) * scale for i, table in enumerate(self.initial)]
        return self.initial_in(torch.cat(parts, -1))  # type: ignore[no-any-return]

    def embed_words(self, rows: Tensor) -> Tensor:
        """Embed compound words (..., 9) to (..., W)."""
        parts = [table(rows[..., i]) * math.sqrt(table.embedding_dim) for i, table in enumerate(self.tables)]
        x = self.embed_in(torch.cat(parts, -1))
        timing = self.timing(rows[..., Column.TIMING]) * math.sqrt(self.config.timing_embedding)
        return self.dropout(x + self.timing_in(timing) + self.positions(rows[..., Column.POSITION]))  # type: ignore[no-any-return]

    def forward(self, rows: Tensor, initial: Tensor) -> Tensor:
        """Return the hidden states (B, n + T, W) of initial tokens (B, n, 3) and words (B, T, 9).

        The state at n - 1 + t predicts word t.
        """
        x = torch.cat([self.embed_initial(initial), self.embed_words(rows)], 1)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)  # type: ignore[no-any-return]

    def state(self, batch: int = 1) -> State:
        """Return the state before the first token."""
        config, like = self.config, self.norm.weight
        size = config.width // config.heads
        shape = (config.layers, batch, config.heads, size)
        return State(like.new_zeros(*shape, size), like.new_zeros(*shape))

    def step(self, x: Tensor, state: State) -> Tensor:
        """Return the hidden state (B, W) after one embedded token (B, W); `state` moves on in place."""
        for layer, memory, norm in zip(self.blocks, state.memory, state.norm, strict=True):
            x = layer.step(x, memory, norm)
        return self.norm(x)  # type: ignore[no-any-return]

    def type_logits(self, hidden: Tensor) -> Tensor:
        """Return the logits (..., 3) of the type column."""
        return self.type_head(hidden)  # type: ignore[no-any-return]

    def logits(self, hidden: Tensor, types: Tensor) -> dict[Column, Tensor]:
        """Return the logits of the other columns, given the type (...) of the word."""
        kind = self.tables[Column.TYPE](types) * math.sqrt(self.config.embeddings[Column.TYPE])
        joined = self.join_type(torch.cat([hidden, kind], -1))
        return {column: head(joined) for column, head in zip(SAMPLED, self.heads, strict=True)}

    def losses(self, hidden: Tensor, words: Tensor, mask: Tensor) -> dict[Column, Tensor]:
        """Return the mean cross-entropy in nats of every predicted column over the words where `mask` (B, T) is 1.

        The hidden state (B, T, W) at t predicts word t of `words` (B, T, 9).
        """
        logits = {Column.TYPE: self.type_logits(hidden), **self.logits(hidden, words[..., Column.TYPE])}
        weights = (mask / mask.sum()).flatten()
        losses = {}
        for column in sorted(logits):
            each = F.cross_entropy(logits[column].flatten(0, 1).float(), words[..., column].flatten(), reduction="none")
            losses[column] = (each * weights).sum()  # a product of vectors would be rounded to bfloat16 by autocast
        return losses


def initial_tokens(genre: int = 5) -> Tensor:
    """Return the seven tokens (1, 7, 3) that the released code puts before every song: genre, key, five instruments."""
    rows = [[genre, 0, 0], [0, 0, 0]] + [[0, 0, instrument] for instrument in range(1, 6)]
    return torch.tensor([rows])
