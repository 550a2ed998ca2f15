"""Training examples of the composer: stretches of pieces as events, with cues, some of them composed inwards.

How music is changed on the way, and why:

- transposed by -5 to 6 semitones, drums not: every key is heard from every piece;
- one instrument left out, one time in four: the model learns to play with fewer than five;
- tempo left out altogether: a piece means the same notes at any tempo, and the picture decides it;
- counted as a whole piece, one time in two: videos are shorter than songs;
- each cue left open at random, so that each is optional;
- bent, some or all of its bars, nearly one time in two: as much as pictures ask for (training/augmentation.py);
- one time in two a few bars are moved to the end, behind the bars that follow them: so the model learns to compose
  a middle knowing both sides (Bavarian et al. 2022; Thickstun et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.composition.events import encode_events, next_hits
from cmt_bridge.core.events import END, START, EventRows, Field, Part, players_mask
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.key import key_of
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import beat_timing
from cmt_bridge.training.augmentation import augment, bars_back
from cmt_bridge.training.dataset import Piece

__all__ = ["EventBatch", "EventSampler", "Stretch", "events_of", "fixed_batches", "stretch_of"]

LOWEST, HIGHEST = -5, 6  # semitones
DROP_TRACK = 0.25
AS_WHOLE = 0.5
INWARD = 0.5
MOST_MIDDLE, MOST_AFTER = 8, 8  # bars
KNOWN = {Field.STYLE: 0.7, Field.KEY: 0.5, Field.PLAYERS: 0.85, Field.TIMING: 0.8}
HARMONY, BENT = 0.6, 0.45  # chances that some bars are told whose harmony they take up, and that some are bent
ALL_BARS = 0.5  # chance that these are all bars of the stretch
HITS = 0.5
MOST_HITS = 4.0  # of a bar, on average


@dataclass(frozen=True)
class EventBatch:
    """`events` (B, T + 1, fields): all but the last are heard, all but the first said; `weights` (B, T) of the latter.

    `weights` sum up to 1 over the events that count.
    """

    events: Tensor
    weights: Tensor

    @property
    def words(self) -> int:
        """The number of events that count."""
        return int((self.weights > 0).sum())

    def to(self, device: torch.device | str) -> EventBatch:
        """Return the batch on a device."""
        return replace(self, events=self.events.to(device), weights=self.weights.to(device))


@dataclass(frozen=True)
class Stretch:
    """Some bars of a piece: `notes` with onsets from 0, `bars` of them, what is known of them, and how they lie in the
    piece: `first` bar of `of` bars.
    """

    notes: GridNotes
    bars: int
    first: int
    of: int
    style: int = 0

    @property
    def ends(self) -> bool:
        """Whether the piece ends with it."""
        return self.first + self.bars >= self.of


def stretch_of(piece: Piece, start: int, length: int, *, style: int = 0) -> Stretch:
    """Return the bars of a piece from `start` on that take at most `length` events with their bar lines, one
    at least.
    """
    bars = min(length, piece.bars - start)
    edges = np.searchsorted(piece.notes[:, Grid.ONSET], np.array([start, start + bars]) * TICKS_PER_BAR)
    notes = np.array(piece.notes[edges[0] : edges[1]], np.int64)
    notes[:, Grid.ONSET] -= start * TICKS_PER_BAR
    return _shortened(Stretch(notes, bars, start, piece.bars, style), length)


def events_of(stretch: Stretch, *, middle: tuple[int, int] | None = None, after: int = MOST_AFTER) -> EventRows:
    """Return the events of a stretch behind their start words; no cue but the part is filled in.

    With `middle`, a range of bars, those come last, behind at most `after` bars that follow them.
    """
    rows = encode_events(stretch.notes, stretch.bars)
    if middle is None:
        parts = [_part(rows, Part.BEFORE, 0)]
        if stretch.ends:
            last = rows[-1:].copy()
            last[:, : Field.POSITION] = 0
            last[:, Field.PLACE] = END
            parts.append(last)
        return np.concatenate(parts)
    low, high = middle
    bar = rows[:, Field.POSITION] // TICKS_PER_BAR
    parts = [
        _part(rows[bar < low], Part.BEFORE, 0),
        _part(rows[(bar >= high) & (bar < high + after)], Part.AFTER, high),
        _part(rows[(bar >= low) & (bar < high)], Part.MIDDLE, low),
    ]
    return np.concatenate(parts)


def _part(rows: EventRows, part: Part, bar: int) -> EventRows:
    start = np.zeros((1, len(Field)), np.int64)
    start[:, Field.PLACE] = START
    start[:, Field.POSITION] = bar * TICKS_PER_BAR
    rows = np.concatenate([start, rows])
    rows[:, Field.PART] = part
    return rows


def key_class(notes: GridNotes) -> int:
    """Return the class of the key field for what is played; 0 where nothing pitched is."""
    pitched = notes[notes[:, Grid.INSTRUMENT] != Instrument.DRUMS]
    heard = np.bincount(pitched[:, Grid.PITCH] % 12, pitched[:, Grid.DURATION], 12).astype(np.float64)
    if not heard.any():
        return 0
    tonic, minor = key_of(heard)
    return 1 + tonic + 12 * minor


class EventSampler:
    """Draw batches of stretches of at most `length` events; the same seed gives the same batches."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        styles: Sequence[str],
        *,
        batch: int,
        length: int,
        seed: int,
        inward: float = INWARD,
    ) -> None:
        self.pieces = pieces
        self.batch = batch
        self.length = length
        self.inward = inward
        self.generator = np.random.Generator(np.random.PCG64(seed))
        self._styles = {style: number for number, style in enumerate(styles, 1)}
        sizes = np.array([len(piece.notes) for piece in pieces], np.float64)
        self._chances = sizes / sizes.sum()

    def draw(self) -> EventBatch:
        """Return the next batch."""
        chosen = self.generator.choice(len(self.pieces), self.batch, p=self._chances)
        return _collate([self._example(self.pieces[index]) for index in chosen], self.length)

    def _example(self, piece: Piece) -> EventRows:
        rng = self.generator
        start = int(rng.integers(0, max(1, piece.bars - 4)))
        stretch = stretch_of(piece, start, self.length - 3, style=self._styles.get(piece.style, 0))
        stretch = replace(stretch, notes=self._changed(stretch.notes))
        back = bars_back(stretch.notes, stretch.bars, rng) * self._some_bars(stretch, HARMONY)
        hits = _made_hits(stretch, rng) * (rng.random() < HITS)
        follows = self._some_bars(stretch, BENT)
        if follows.any():
            notes, struck = augment(stretch.notes, np.flatnonzero(follows), rng)
            stretch = _shortened(replace(stretch, notes=notes), self.length - 3)
            hits[:] = 0
            hits[struck] = _strengths(notes, len(hits))[struck]
        middle = None
        if stretch.bars >= 3 and rng.random() < self.inward:
            size = int(rng.integers(1, min(MOST_MIDDLE, stretch.bars - 2) + 1))
            low = int(rng.integers(1, stretch.bars - size))
            middle = (low, low + size)
        rows = events_of(stretch, middle=middle)
        self._give_cues(rows, stretch)
        next_hits(rows, hits)
        bar = rows[:, Field.POSITION] // TICKS_PER_BAR
        played = rows[:, Field.PLACE] != START
        rows[:, Field.FOLLOWS] = follows[bar] * played
        rows[:, Field.BARS_BACK] = back[bar] * (played & (rows[:, Field.PART] != Part.AFTER))
        return rows

    def _some_bars(self, stretch: Stretch, chance: float) -> npt.NDArray[np.bool_]:
        """Choose all bars, any share of them or, but for a `chance`, none."""
        rng = self.generator
        share = (1.0 if rng.random() < ALL_BARS else rng.random()) if rng.random() < chance else 0.0
        chosen: npt.NDArray[np.bool_] = rng.random(stretch.bars) < share
        return chosen

    def _changed(self, notes: GridNotes) -> GridNotes:
        rng = self.generator
        pitched = notes[:, Grid.INSTRUMENT] != Instrument.DRUMS
        notes[pitched, Grid.PITCH] += rng.integers(LOWEST, HIGHEST + 1)
        notes = notes[(notes[:, Grid.PITCH] >= 0) & (notes[:, Grid.PITCH] < 128)]
        present = np.unique(notes[:, Grid.INSTRUMENT])
        if len(present) > 1 and rng.random() < DROP_TRACK:
            notes = notes[notes[:, Grid.INSTRUMENT] != rng.choice(present)]
        return notes

    def _give_cues(self, rows: EventRows, stretch: Stretch) -> None:
        rng = self.generator
        known = {field: rng.random() < chance for field, chance in KNOWN.items()}
        if known[Field.STYLE]:
            rows[:, Field.STYLE] = stretch.style
        if known[Field.KEY]:
            rows[:, Field.KEY] = key_class(stretch.notes)
        if known[Field.PLAYERS]:
            rows[:, Field.PLAYERS] = players_mask(stretch.notes[:, Grid.INSTRUMENT])
        as_whole = rng.random() < AS_WHOLE
        if known[Field.TIMING]:
            time_events(rows, replace(stretch, first=0, of=stretch.bars) if as_whole else stretch)


def time_events(rows: EventRows, stretch: Stretch) -> None:
    """Fill in the timing of events of a stretch."""
    position = stretch.first * TICKS_PER_BAR + rows[:, Field.POSITION]
    rows[:, Field.TIMING] = beat_timing(position, stretch.of * TICKS_PER_BAR)


def _made_hits(stretch: Stretch, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return hits as a picture might ask for them, that the music has: per tick the most notes of a simu-note, or 0.

    Strong ticks are hit more often, as a drawing that follows a picture would have it.
    """
    strength = _strengths(stretch.notes, stretch.bars * TICKS_PER_BAR)
    wish = rng.random() * MOST_HITS * stretch.bars * strength / max(1, strength.sum())
    hits: npt.NDArray[np.int64] = np.where(rng.random(len(strength)) < wish, strength, 0)
    return hits


def _strengths(notes: GridNotes, ticks: int) -> npt.NDArray[np.int64]:
    """Give, for every tick, how many notes its largest simu-note has."""
    counts = np.zeros((ticks, len(Instrument) + 1), np.int64)
    np.add.at(counts, (notes[:, Grid.ONSET], notes[:, Grid.INSTRUMENT]), 1)
    strengths: npt.NDArray[np.int64] = counts.max(axis=1)
    return strengths


def _shortened(stretch: Stretch, length: int) -> Stretch:
    """Return as many bars of a stretch, one at least, as `length` events hold with their bar lines."""
    edges = np.searchsorted(stretch.notes[:, Grid.ONSET], np.arange(1, stretch.bars + 1) * TICKS_PER_BAR)
    bars = max(1, int(np.searchsorted(edges + np.arange(1, stretch.bars + 1), length, "right")))
    return replace(stretch, notes=stretch.notes[: edges[bars - 1]][:length], bars=bars)


def fixed_batches(pieces: Sequence[Piece], *, batch: int, length: int, count: int) -> list[EventBatch]:
    """Return at most `count` batches of unchanged stretches, from start and middle of pieces; always the same ones.

    Only players and timing are told, as much as the paper's network knows.
    """
    examples = []
    for piece in pieces:
        for start in (0, piece.bars // 2):
            stretch = stretch_of(piece, start, length - 2)
            rows = events_of(stretch)
            rows[:, Field.PLAYERS] = players_mask(stretch.notes[:, Grid.INSTRUMENT]) if len(stretch.notes) else 0
            time_events(rows, stretch)
            examples.append(rows)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(examples))[: count * batch]
    return [_collate([examples[i] for i in order[at : at + batch]], length) for at in range(0, len(order), batch)]


def _collate(examples: Sequence[EventRows], length: int) -> EventBatch:
    events = np.zeros((len(examples), length + 1, len(Field)), np.int64)
    counts = np.zeros((len(examples), length), np.float32)
    for index, example in enumerate(examples):
        example = example[: length + 1]
        events[index, : len(example)] = example
        counts[index, : len(example) - 1] = example[1:, Field.PLACE] != START
    return EventBatch(torch.from_numpy(events), torch.from_numpy(counts / max(1.0, counts.sum())))
