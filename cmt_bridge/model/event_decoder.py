"""The event transformer laid out for decoding: a window of keys and values per candidate, an event at a time.

A step costs the same however long the piece is: at most `window` events are attended to, the oldest making room. The
start word is always among them, as the event before the oldest: in training no piece was without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from cmt_bridge.core.events import MOST_NOTES, SAID, SAME, START, EventRows, Field, Part, players_mask
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import BAR, CHOSEN, Column, Type
from cmt_bridge.errors import UsageError
from cmt_bridge.model.decoder import Word
from cmt_bridge.model.decoding_state import DecodingState
from cmt_bridge.model.event_network import NORM_EPS, Block, EventTransformer, angles, rotate
from cmt_bridge.model.kv_cache import KVCache, joined_caches
from cmt_bridge.model.paper_engine import Precision, linear
from cmt_bridge.model.rows import Product, in_blocks, padded

__all__ = ["Conditioning", "EventDecoder", "EventEngine"]

# With 0.9 for all, chords and drums freeze after some bars; with more than 0.9 for pitches, harmony does not return.
NUCLEUS: Mapping[Column, float] = dict.fromkeys(CHOSEN, 0.95) | {Column.PITCH: 0.9}
# The fields of an event by the columns of the paper's words.
FIELD_OF = {
    Column.BEAT: Field.PLACE,
    Column.DENSITY: Field.DENSITY,
    Column.INSTRUMENT: Field.INSTRUMENT,
    Column.STRENGTH: Field.STRENGTH,
    Column.PITCH: Field.PITCH,
    Column.DURATION: Field.DURATION,
    Column.VELOCITY: Field.VELOCITY,
}
SPOKEN = (Column.PITCH, Column.DURATION, Column.VELOCITY)
HEAD_COLUMNS = np.array((Column.BEAT, Column.INSTRUMENT, Column.STRENGTH))
SAID_COLUMNS = np.array((*HEAD_COLUMNS, *SPOKEN))
HEAD_FIELDS, SAID_FIELDS = (
    np.array([FIELD_OF[column] for column in columns]) for columns in (HEAD_COLUMNS, SAID_COLUMNS)
)


@dataclass(frozen=True)
class Conditioning:
    """What a piece as a whole is conditioned on: classes of the fields `STYLE`, `KEY` and `PLAYERS`, 0 where
    left open.
    """

    style: int = 0
    key: int = 0
    players: int = 0


def _unit(x: Tensor) -> Tensor:
    """Scale to unit mean square, without the gain of a `Norm`; in fewer calls than torch takes."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPS)


class Embedding:
    """Sum up the embeddings of some fields of events, in one call."""

    def __init__(self, tables: nn.ModuleDict) -> None:
        weights = [cast(nn.Embedding, table).weight.detach() for table in tables.values()]
        self._fields = np.array([Field[name] for name in tables])
        self._starts = np.cumsum([0, *map(len, weights[:-1])])
        self._table = torch.cat(weights)

    def __call__(self, events: EventRows) -> Tensor:
        """Map (n, fields) to (n, W)."""
        return F.embedding_bag(torch.from_numpy(events[:, self._fields] + self._starts), self._table, mode="sum")


class EventEngine:
    """Decode with an `EventTransformer`. Inference only. Raises `UsageError` where the machine has no kernels of a
    precision.
    """

    def __init__(self, network: EventTransformer, precision: Precision = "float32") -> None:
        if precision not in get_args(Precision):
            raise UsageError(f"There is no precision {precision}.", hint=f"Choose {', '.join(get_args(Precision))}.")
        self.network = network.eval()
        self.config = network.config
        self.precision = precision
        self.weights = sum(p.numel() for p in network.blocks.parameters())
        """Number of weights read for every event."""
        blocks = [cast(Block, block) for block in network.blocks]
        speech = network.speech
        thoughts = [cast(nn.Linear, speech.thoughts[field.name]) for field in SAID]
        with torch.inference_mode():
            try:
                self._blocks = [
                    tuple(
                        linear(weight, weight.new_zeros(len(weight)), precision)
                        for weight in (
                            block.qkv.weight * block.norm1.gain,
                            block.out.weight,
                            block.expand.weight * block.norm2.gain,
                            block.contract.weight,
                        )
                    )
                    for block in blocks
                ]
                self._thoughts = linear(
                    torch.cat([t.weight for t in thoughts]), torch.cat([t.bias for t in thoughts]), precision
                )
            except RuntimeError as error:
                raise UsageError(
                    f"This machine cannot decode in {precision}: {error}", hint="Use --precision float32."
                ) from error
            self._gains = [torch.stack([b.norm_query.gain, b.norm_key.gain])[:, None] for b in blocks]
            self._embed = Embedding(network.tables)
            said = zip(SAID, cast(Iterable[nn.ModuleDict], speech.said.values()), strict=True)
            self._said = {field: Embedding(tables) for field, tables in said if len(tables)}
            outputs = [cast(nn.Linear, output) for output in speech.outputs.values()]
            self._outputs: dict[Field, Product] = {
                field: partial(F.linear, weight=o.weight.detach(), bias=o.bias.detach())
                for field, o in zip(SAID, outputs, strict=True)
            }
        self._scale = network.config.head_size**-0.5

    def conditioning(self, options: ComposeOptions) -> Conditioning:
        """Return the conditioning for some options. Raises `UsageError` for a style that the network does not know."""
        styles = self.config.styles
        if options.style and options.style not in styles:
            known = f"It knows {', '.join(styles)}." if styles else "It knows none."
            raise UsageError(f"This model does not know the style {options.style}.", hint=known)
        style = styles.index(options.style) + 1 if options.style else 0
        return Conditioning(style, options.key_class, players_mask([int(i) for i in options.instruments]))

    def cache(self, rows: Sequence[int]) -> KVCache:
        """Return the empty cache of candidates; `rows` are theirs in products (`rows_of`)."""
        c, count = self.config, len(rows)
        shape = (c.layers, count, c.heads, c.window, c.head_size)
        return KVCache(
            keys=torch.zeros(shape),
            values=torch.zeros(shape),
            starts=torch.zeros(c.layers, count, c.heads, c.head_size),
            positions=torch.zeros(count, c.window, dtype=torch.long),
            rows=torch.tensor(rows, dtype=torch.long),
            count=torch.zeros(count, dtype=torch.long),
            hidden=torch.zeros(count, c.width),
            heads=np.zeros((count, len(Field)), np.int64),
        )

    @torch.inference_mode()
    def step(self, events: EventRows, cache: KVCache) -> None:
        """Feed one event (B, fields) per candidate; `cache` is updated in place. The first event is the start word."""
        c, count = self.config, cache.count
        batch = len(count)
        positions = torch.from_numpy(events[:, Field.POSITION])
        slot = cache.slots(count)
        # One slot for all is written at once: it is so unless they began at different times.
        everyone: Tensor | slice = torch.arange(batch)
        where: Tensor | int = slot
        if bool((slot == slot[0]).all()):
            everyone, where = slice(None), int(slot[0])
        cache.positions[everyone, where] = positions
        cos, sin = (t[:, None, None] for t in angles(count, positions, c.head_size))
        starting = count == 0
        begins = bool(starting.any())
        cache.count = count + 1
        common = cache.shared_window()
        start_cos, start_sin = self._start_angles(cache)
        cache.keys[:, :, :, 0] = rotate(cache.starts, start_cos, start_sin)
        lengths: list[int] = cache.filled().tolist()
        rows = cache.rows

        x = padded(self._embed(events), rows)
        for number, ((qkv, out, expand, contract), gain) in enumerate(zip(self._blocks, self._gains, strict=True)):
            together = in_blocks(qkv, _unit(x)).view(len(x), 3, c.heads, c.head_size)
            qk, v = (_unit(together[:, :2]) * gain)[rows], together[rows, 2]
            keys, values = cache.keys[number], cache.values[number]
            q, k = rotate(qk, cos, sin).unbind(1)
            keys[everyone, :, where] = k
            values[everyone, :, where] = v
            if begins:
                starts = cache.starts[number]
                starts[starting] = qk[starting, 1]
                keys[:, :, 0] = rotate(starts, start_cos, start_sin)
            own = [
                (key[:, :length], value[:, :length])
                for key, value, length in zip(keys.unbind(), values.unbind(), lengths, strict=True)
            ]
            shared = None if common is None else (common[0][number], common[1][number])
            heard = _attention(q * self._scale, own, shared, rows)
            x = x + in_blocks(out, padded(heard.flatten(1), rows))
            x = x + in_blocks(contract, F.gelu(in_blocks(expand, _unit(x))))
        cache.hidden = self.network.norm(x)[rows]

    def _start_angles(self, cache: KVCache) -> tuple[Tensor, Tensor]:
        """Return cosine and sine (B, 1, D / 2) of the start word, which is attended to as the event before the
        oldest.
        """
        oldest = cache.oldest()
        origin = torch.where(oldest > 1, cache.position(oldest), cache.positions[:, 0])
        cos, sin = angles(oldest - 1, origin, self.config.head_size)
        return cos[:, None], sin[:, None]

    @torch.inference_mode()
    def feed(self, events: EventRows, cache: KVCache) -> None:
        """Feed many events (T, fields) to one candidate; `cache` is updated in place, as after as many steps.

        As long as the window is not full they are fed in one pass, which takes a tenth of the time.
        """
        c = self.config
        first = int(cache.count[0])
        last = min(first + len(events), c.window)
        together, others = events[: last - first], events[last - first :]
        if len(together):
            rows, index = torch.from_numpy(together), torch.arange(first, last)
            cos, sin = (t[:, None, None] for t in angles(index, rows[:, Field.POSITION], c.head_size))
            unheard = torch.where(torch.arange(last) > index[:, None], -torch.inf, 0.0)
            x = self._embed(together)
            for number, ((qkv, out, expand, contract), gain) in enumerate(zip(self._blocks, self._gains, strict=True)):
                parts = qkv(_unit(x)).reshape(len(rows), 3, c.heads, c.head_size)
                qk = _unit(parts[:, :2]) * gain
                if first == 0:
                    cache.starts[number, 0] = qk[0, 1]
                q, k = rotate(qk, cos, sin).transpose(0, 2).unbind(1)
                keys, values = cache.keys[number, 0], cache.values[number, 0]
                keys[:, first:last], values[:, first:last] = k, parts[:, 2].transpose(0, 1)
                scores = q @ keys[:, :last].transpose(-1, -2) * self._scale + unheard
                heard = (scores.softmax(-1) @ values[:, :last]).transpose(0, 1).flatten(1)
                x = x + out(heard)
                x = x + contract(F.gelu(expand(_unit(x))))
            cache.hidden = self.network.norm(x[-1:])
            cache.positions[0, first:last] = rows[:, Field.POSITION]
            cache.count = cache.count + len(rows)
        for event in others:
            self.step(event[None], cache)

    @torch.inference_mode()
    def thoughts(self, cache: KVCache) -> Tensor:
        """Return the projection of the hidden states of candidates for each sampled field (B, fields, S)."""
        thoughts = in_blocks(self._thoughts, padded(cache.hidden, cache.rows))[cache.rows]
        return thoughts.reshape(len(thoughts), len(SAID), -1)

    @torch.inference_mode()
    def logits(self, field: Field, thoughts: Tensor, events: EventRows, rows: Tensor) -> npt.NDArray[np.float32]:
        """Return the logits (n, classes) of a field from thoughts (n, S) and what is decided of events (n, fields), of
        candidates by their rows in products.
        """
        if field in self._said:
            thoughts = thoughts + self._said[field](events)
        return in_blocks(self._outputs[field], F.gelu(padded(thoughts, rows)))[rows].numpy()


def _attention(
    q: Tensor, own: Sequence[tuple[Tensor, Tensor]], shared: tuple[Tensor, Tensor] | None, rows: Tensor
) -> Tensor:
    """Compute attention (B, H, D) of scaled queries (B, H, D): each over its own keys and values (H, T, D), and all
    over those that are shared (H, C, D).

    Each candidate is a product of its own, but for what is shared, which is one of `ROWS` rows.
    """
    alone = q.unsqueeze(2).unbind()
    scores = [torch.bmm(each, keys.transpose(1, 2)) for each, (keys, _) in zip(alone, own, strict=True)]
    if shared is None:
        heard = [torch.bmm(each.softmax(-1), values) for each, (_, values) in zip(scores, own, strict=True)]
        return torch.stack(heard).squeeze(2)
    keys, values = shared
    size = keys.shape[1]
    together = in_blocks(lambda block: torch.bmm(block.transpose(0, 1), keys.mT).transpose(0, 1), padded(q, rows))
    chances = [
        torch.cat([before, each], -1).softmax(-1)
        for before, each in zip(together[rows].unsqueeze(2).unbind(), scores, strict=True)
    ]
    heard = [torch.bmm(each[..., size:], apart) for each, (_, apart) in zip(chances, own, strict=True)]
    before = padded(torch.stack([each[..., :size] for each in chances]).squeeze(2), rows)
    common = in_blocks(lambda block: torch.bmm(block.transpose(0, 1), values).transpose(0, 1), before)
    return torch.stack(heard).squeeze(2) + common[rows]


class EventDecoder:
    """Decode with the event transformer: an event at a time, its attributes in order."""

    words_per_step = 2
    note_columns: tuple[Column, ...] = SPOKEN
    nucleus = NUCLEUS

    def __init__(self, engine: EventEngine, cues: Conditioning) -> None:
        self.engine = engine
        self.conditioning = cues
        self.part = Part.BEFORE
        self._gathered: list[EventRows] | None = None
        self._cache = engine.cache([])
        self._thoughts: Tensor | None = None

    def begin(self, rows: Sequence[int], bar: int = 0) -> None:
        self._cache = self.engine.cache(rows)
        self.seek(Part.BEFORE, bar)

    def seek(self, part: Part, bar: int) -> bool:
        self.part = part
        events = np.zeros((len(self._cache.count), len(Field)), np.int64)
        events[:, Field.PLACE] = START
        events[:, Field.POSITION] = bar * TICKS_PER_BAR
        self._feed(events)
        return True

    def resume(self, caches: Sequence[tuple[KVCache, Part]], rows: Sequence[int]) -> None:
        self._cache = joined_caches([cache for cache, _ in caches])
        self._cache.rows = torch.tensor(rows, dtype=torch.long)
        self.part = caches[0][1]
        self._thoughts = None

    def fork(self, rows: Sequence[int]) -> None:
        self._cache = self._cache.fork(rows)
        self._thoughts = None

    def cache(self, place: int) -> tuple[KVCache, Part]:
        return self._cache.alone(place), self.part

    @contextmanager
    def gathering(self) -> Iterator[None]:
        self._gathered = []
        try:
            yield
        finally:
            events, self._gathered = self._gathered, None
        if events:
            self.engine.feed(np.concatenate(events), self._cache)

    def cross(self, place: int, cursor: DecodingState) -> None:
        """Prepare nothing: the window slides by itself."""

    def select(self, places: Sequence[int]) -> None:
        self._cache = self._cache.select(places)
        self._thoughts = None

    def logits(self, places: Sequence[int], column: Column, words: Sequence[Word]) -> npt.NDArray[np.float32]:
        if self._thoughts is None:
            self._thoughts = self.engine.thoughts(self._cache)
        field = FIELD_OF[column]
        thoughts = self._thoughts[:, field]
        if len(places) < len(thoughts):
            thoughts = thoughts[list(places)]
        return self.engine.logits(field, thoughts, self._events(places, words), self._cache.rows[list(places)])

    def feed(self, said: Sequence[Sequence[Word]], cursors: Sequence[DecodingState]) -> None:
        """Feed the words of each candidate: a bar word, a note word, or a beat word with its first note."""
        for place, words in enumerate(said):
            for word in words:
                if not _completes(word):
                    self.open(place, word)
        if not any(_completes(words[-1]) for words in said):
            return
        last = [words[-1] for words in said]
        events = self._events(range(len(last)), last)
        events[:, Field.POSITION] = [word[Column.POSITION] for word in last]
        events[:, Field.TIMING] = [word[Column.TIMING] for word in last]
        for event, cursor in zip(events, cursors, strict=True):
            event[Field.TICK] = cursor.tick + 1
            event[Field.OWED_TICKS] = cursor.owed_ticks
            event[Field.OWED_NOTES] = cursor.owed_notes
            event[Field.FOLLOWS] = cursor.follows
            event[Field.BARS_BACK] = 0 if cursor.returns is None else cursor.returns + 1
            tick = max(0, cursor.tick)
            ahead = [hit for hit in cursor.hits if hit >= tick]
            if ahead:
                event[Field.HIT_IN] = min(ahead) - tick + 1
                event[Field.HIT_STRENGTH] = min(MOST_NOTES, cursor.hits[min(ahead)])
        self._cache.heads[:, Field.PLACE] = SAME  # what follows belongs to the same simu-note
        self._feed(events)

    def open(self, place: int, word: Word) -> None:
        head = self._cache.heads[place]
        head[:] = 0
        head[HEAD_FIELDS] = word[HEAD_COLUMNS]

    def _events(self, places: Sequence[int], words: Sequence[Word]) -> EventRows:
        """Return the events that words belong to, as far as they are decided; a note repeats the fields of its beat
        word.
        """
        said = np.array(words)
        events = np.zeros((len(said), len(Field)), np.int64)
        events[:, SAID_FIELDS] = said[:, SAID_COLUMNS]
        events[:, Field.DENSITY] = said[:, Column.DENSITY] * (said[:, Column.BEAT] == BAR)
        notes = said[:, Column.TYPE] == Type.NOTE
        events[notes, : Field.PITCH] = self._cache.heads[list(places), : Field.PITCH][notes]
        return events

    def _feed(self, events: EventRows) -> None:
        events[:, Field.STYLE] = self.conditioning.style
        events[:, Field.KEY] = self.conditioning.key
        events[:, Field.PLAYERS] = self.conditioning.players
        events[:, Field.PART] = self.part
        if self._gathered is None:
            self.engine.step(events, self._cache)
        else:
            self._gathered.append(events)
        self._thoughts = None


def _completes(word: Word) -> bool:
    """Return whether a word completes an event: a bar, or a note."""
    return bool(word[Column.TYPE] == Type.NOTE or word[Column.BEAT] == BAR)
