"""The event transformer: our own network, which reads events and predicts the next one attribute by attribute.

What differs from the paper's network, each with its measurement in models/README.md: a word is a whole note; its
attributes are sampled in order, each conditioned on those before it; attention is softmax over a window of the last
words, with rotary positions in musical time and in words, so that nothing in it depends on how long the piece is; what
the music is conditioned on (style, key, who plays, hits) stands beside every word and may be left open; and the music
that follows can be fed before a middle is composed. Shapes: B batch, T events, W width, H heads, D width of a head.

Sources: Su et al. 2021 (rotary positions), Zhang & Sennrich 2019 (RMS norm), Hsiao et al. 2021 and Dong et al. 2023
(attributes of a compound word in order or apart), Xiao et al. 2024 (a window that keeps the first word).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from cmt_bridge.core.events import FIELD_CLASSES, SAID, SAME, Field

__all__ = ["EventConfig", "EventTransformer", "angles", "rotate"]

LONGEST_PERIOD = 12  # octaves of ticks: 256 bars
SHORTEST_WORDS, WORD_OCTAVES = 4.0, 9.0  # periods over words, from 4 to 2048 of them
NORM_EPS = 1e-6
PITCHED = (Field.PITCH, Field.DURATION, Field.VELOCITY)


@dataclass(frozen=True, slots=True)
class EventConfig:
    """The shape of an `EventTransformer`: `window` is the number of events it attends to, `styles` the names it
    knows.
    """

    layers: int = 6
    heads: int = 4
    head_size: int = 32
    width: int = 256
    feed_forward: int = 1024
    speech_width: int = 128
    window: int = 768
    styles: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EventConfig:
        """Read what `to_json` gave; lists become tuples."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def classes(self, field: Field) -> int:
        """Return the number of classes of a field."""
        return len(self.styles) + 1 if field is Field.STYLE else FIELD_CLASSES[field]


def angles(index: Tensor, position: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return cosine and sine (..., D / 2) of the rotary angles of events, D = `width`.

    Half of the planes turn with the event's place in the sequence, the other half with its position in ticks, in
    periods from two ticks to 256 bars: a beat, a bar or eight bars ago is an angle.
    """
    planes = width // 4
    ticks = 2.0 ** torch.linspace(1, LONGEST_PERIOD, planes, dtype=torch.float64)
    words = SHORTEST_WORDS * 2.0 ** torch.linspace(0, WORD_OCTAVES, planes, dtype=torch.float64)
    turns = torch.cat([position.double()[..., None] / ticks, index.double()[..., None] / words], -1)
    angle = (turns % 1.0 * (2 * math.pi)).float()
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the planes (i, i + D / 2) of x (..., D)."""
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


class Norm(nn.Module):
    """Scale to unit mean square, then by a learned gain."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.gain.shape, self.gain.to(x.dtype), NORM_EPS)


class Block(nn.Module):
    """Causal attention, then a feed-forward network, each added to its input (pre-norm)."""

    def __init__(self, config: EventConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm1, self.norm2 = Norm(width), Norm(width)
        self.norm_query, self.norm_key = Norm(config.head_size), Norm(config.head_size)
        inner = config.heads * config.head_size
        self.qkv = nn.Linear(width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.expand = nn.Linear(width, config.feed_forward, bias=False)
        self.contract = nn.Linear(config.feed_forward, width, bias=False)
        for last in (self.out, self.contract):  # a deep sum that starts small
            nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * config.layers))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map (B, T, W) to (B, T, W); `cos`, `sin` (B, 1, T, D / 2)."""
        q, k, v = self.project(x, cos, sin)
        return self.combine(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values (B, H, T, D), turned to their places."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q = rotate(self.norm_query(q), cos, sin).to(v.dtype)
        k = rotate(self.norm_key(k), cos, sin).to(v.dtype)
        return q, k, v

    def combine(self, x: Tensor, heard: Tensor) -> Tensor:
        """Add attention (B, H, T, D) to x (B, T, W), then the feed-forward network."""
        x = x + self.out(heard.transpose(1, 2).flatten(2))
        return x + self.contract(F.gelu(self.expand(self.norm2(x))))  # type: ignore[no-any-return]


class Speech(nn.Module):
    """Logits of an event's attributes in order, each from the hidden state and the attributes already sampled."""

    def __init__(self, config: EventConfig) -> None:
        super().__init__()
        size = config.speech_width
        self.thoughts = nn.ModuleDict({field.name: nn.Linear(config.width, size) for field in SAID})
        self.said = nn.ModuleDict(
            {
                field.name: nn.ModuleDict({e.name: nn.Embedding(config.classes(e), size) for e in SAID[:place]})
                for place, field in enumerate(SAID)
            }
        )
        self.outputs = nn.ModuleDict({field.name: nn.Linear(size, config.classes(field)) for field in SAID})
        for tables in self.said.values():
            for table in tables.values():  # type: ignore[operator]
                nn.init.normal_(table.weight, std=0.5)

    def logits(self, field: Field, hidden: Tensor, events: Tensor) -> Tensor:
        """Return the logits (n, classes) of a field for hidden states (n, W) and the events (n, fields) being said."""
        thought = self.thoughts[field.name](hidden)
        for earlier, table in self.said[field.name].items():  # type: ignore[operator]
            thought = thought + table(events[:, Field[earlier]])
        return self.outputs[field.name](F.gelu(thought))  # type: ignore[no-any-return]


class EventTransformer(nn.Module):
    """Events in, hidden states out; `speech` turns those into logits of the next event."""

    def __init__(self, config: EventConfig) -> None:
        super().__init__()
        self.config = config
        heard = [field for field in Field if field is not Field.POSITION]
        self.tables = nn.ModuleDict({field.name: nn.Embedding(config.classes(field), config.width) for field in heard})
        for table in self.tables.values():
            nn.init.normal_(table.weight, std=0.3)  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = Norm(config.width)
        self.speech = Speech(config)

    def embed(self, events: Tensor) -> Tensor:
        """Embed events (..., fields) to (..., W)."""
        parts = [table(events[..., Field[name]]) for name, table in self.tables.items()]
        total: Tensor = sum(parts[1:], parts[0])
        return total

    def forward(self, events: Tensor) -> Tensor:
        """Return the hidden states (B, T, W) of events (B, T, fields); the one at t predicts the event at t + 1."""
        x = self.embed(events)
        cos, sin = self.places(events)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x)  # type: ignore[no-any-return]

    def places(self, events: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine (B, 1, T, D / 2) of the places of events (B, T, fields), counted from the first."""
        index = torch.arange(events.shape[1], device=events.device).expand(events.shape[:2])
        position = events[..., Field.POSITION] - events[:, :1, Field.POSITION]
        cos, sin = angles(index, position, self.config.head_size)
        return cos.unsqueeze(1), sin.unsqueeze(1)

    def field_losses(self, hidden: Tensor, events: Tensor, counts: Tensor) -> Iterator[tuple[Field, Tensor, Tensor]]:
        """Give, for every said field, where it is said and its cross-entropy there in nats.

        The hidden state (B, T, W) at t predicts the event at t of `events` (B, T, fields); those where `counts` (B, T)
        is false are left out. Places are counted through the flattened batch. A field is said where it has a meaning:
        density of bars, instrument and strength of the first note of a simu-note.
        """
        states, flat = hidden.flatten(0, 1), events.flatten(0, 1)
        place, pitch, counts = flat[:, Field.PLACE], flat[:, Field.PITCH], counts.flatten()
        first = counts & (place > SAME) & (pitch > 0)
        said = {
            Field.PLACE: counts,
            Field.DENSITY: counts & (flat[:, Field.DENSITY] > 0),
            Field.INSTRUMENT: first,
            Field.STRENGTH: first,
            **dict.fromkeys(PITCHED, counts & (pitch > 0)),
        }
        for field in SAID:
            where = said[field].nonzero().squeeze(1)
            logits = self.speech.logits(field, states[where], flat[where]).float()
            yield field, where, F.cross_entropy(logits, flat[where, field], reduction="none")

    def losses(self, hidden: Tensor, events: Tensor, weights: Tensor) -> dict[Field, Tensor]:
        """Return the cross-entropy in nats of every said field, summed up with `weights` (B, T); see `field_losses`."""
        flat = weights.flatten()
        parts = self.field_losses(hidden, events, weights > 0)
        # A dot product would be rounded to bfloat16 under autocast.
        return {field: (loss * flat[where]).sum() for field, where, loss in parts}
