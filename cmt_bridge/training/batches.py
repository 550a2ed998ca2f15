"""Training examples: crops of pieces, changed as the music allows, as compound words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cmt_bridge.composition.codec import Grid, GridNotes, encode
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import COLUMNS, Column, TokenRows, beat_timing
from cmt_bridge.model.paper_network import initial_tokens
from cmt_bridge.training.dataset import Piece

__all__ = ["Batch", "Sampler", "evaluation_batches"]

TRANSPOSE = 5  # semitones up or down: all keys are heard, no instrument leaves its range by much
DROP_TRACK = 0.25  # how often one instrument is left out, so that the model plays with fewer than five
AS_WHOLE = 0.5  # how often a crop is counted as a whole piece: videos are shorter than songs


@dataclass(frozen=True)
class Batch:
    """`rows` (B, T, columns), `initial` (B, 7, 3), `mask` (B, T): 1 where a row is a word to predict."""

    rows: Tensor
    initial: Tensor
    mask: Tensor

    @property
    def words(self) -> int:
        """The number of words to predict."""
        return int(self.mask.sum())

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""
        return Batch(self.rows.to(device), self.initial.to(device), self.mask.to(device))


class Sampler:
    """Draw batches of crops of `length` words; the same seed gives the same batches."""

    def __init__(self, pieces: Sequence[Piece], *, batch: int, length: int, period: int, seed: int) -> None:
        self.pieces = pieces
        self.batch = batch
        self.length = length
        self.period = period
        self.generator = np.random.Generator(np.random.PCG64(seed))
        sizes = np.array([len(piece.notes) for piece in pieces], np.float64)
        self._chances = sizes / sizes.sum()

    def draw(self) -> Batch:
        """Return the next batch."""
        rng = self.generator
        chosen = rng.choice(len(self.pieces), self.batch, p=self._chances)
        return _collate([self._example(self.pieces[index], rng) for index in chosen], self.length)

    def _example(self, piece: Piece, rng: np.random.Generator) -> tuple[TokenRows, npt.NDArray[np.int64]]:
        start = int(rng.integers(0, max(1, piece.bars - 4)))
        notes, bars = _crop(piece, start, self.length)
        notes = notes.copy()
        pitched = notes[:, Grid.INSTRUMENT] != Instrument.DRUMS
        notes[pitched, Grid.PITCH] += rng.integers(-TRANSPOSE, TRANSPOSE + 1)
        notes = notes[(notes[:, Grid.PITCH] >= 0) & (notes[:, Grid.PITCH] < 128)]
        present = np.unique(notes[:, Grid.INSTRUMENT])
        if len(present) > 1 and rng.random() < DROP_TRACK:
            notes = notes[notes[:, Grid.INSTRUMENT] != rng.choice(present)]
        rows = encode(notes, bars)[: self.length]
        first, n_beat = start * TICKS_PER_BAR, piece.bars * TICKS_PER_BAR
        if rng.random() < AS_WHOLE:
            first, n_beat = 0, int(rows[-1, Column.POSITION]) // TICKS_PER_BAR * TICKS_PER_BAR + TICKS_PER_BAR
        rows = _timed(rows, first, n_beat, ends=start + bars == piece.bars)[: self.length]
        rows[:, Column.POSITION] += int(rng.integers(0, self.period // TICKS_PER_BAR)) * TICKS_PER_BAR
        return rows, _instruments(notes)


def _timed(rows: TokenRows, first: int, n_beat: int, *, ends: bool) -> TokenRows:
    """Fill in the timing of a crop that begins at tick `first` of `n_beat`; add EOS where the piece `ends` with it."""
    if ends:
        rows = np.concatenate([rows, np.zeros((1, COLUMNS), np.int64)])
        rows[-1, Column.POSITION] = rows[-2, Column.POSITION]
    rows[:, Column.TIMING] = beat_timing(first + rows[:, Column.POSITION], n_beat)
    return rows


def _crop(piece: Piece, start: int, length: int) -> tuple[GridNotes, int]:
    """Return the notes of the bars from `start` on that hold about `length` words, and how many bars they are."""
    first = int(np.searchsorted(piece.notes[:, Grid.ONSET], start * TICKS_PER_BAR))
    notes = piece.notes[first : first + length]
    bars = piece.bars - start
    if first + length < len(piece.notes):
        bars = int(notes[-1, Grid.ONSET]) // TICKS_PER_BAR - start
        notes = notes[notes[:, Grid.ONSET] < (start + bars) * TICKS_PER_BAR]
    notes = np.array(notes, np.int64)
    notes[:, Grid.ONSET] -= start * TICKS_PER_BAR
    return notes, max(1, bars)


def _instruments(notes: GridNotes) -> npt.NDArray[np.int64]:
    """Return the initial tokens (7, 3) of what is played: an instrument that is absent leaves its token 0."""
    tokens = initial_tokens()[0].numpy()
    absent = ~np.isin(tokens[:, 2], notes[:, Grid.INSTRUMENT])
    tokens[absent, 2] = 0
    return tokens


def _collate(examples: Sequence[tuple[TokenRows, npt.NDArray[np.int64]]], length: int) -> Batch:
    rows = np.zeros((len(examples), length, COLUMNS), np.int64)
    mask = np.zeros((len(examples), length), np.float32)
    for index, (example, _) in enumerate(examples):
        rows[index, : len(example)] = example
        mask[index, : len(example)] = 1
    initial = np.stack([tokens for _, tokens in examples])
    return Batch(torch.from_numpy(rows), torch.from_numpy(initial), torch.from_numpy(mask))


def evaluation_batches(pieces: Sequence[Piece], *, batch: int, length: int, count: int) -> list[Batch]:
    """Return at most `count` batches of unchanged crops, from start and middle of pieces; always the same ones."""
    crops = []
    for piece in pieces:
        for start in (0, piece.bars // 2):
            notes, bars = _crop(piece, start, length)
            if len(notes):
                rows = encode(notes, bars)[:length]
                ends = start + bars == piece.bars
                rows = _timed(rows, start * TICKS_PER_BAR, piece.bars * TICKS_PER_BAR, ends=ends)[:length]
                crops.append((rows, _instruments(notes)))
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(crops))[: count * batch]
    return [_collate([crops[i] for i in order[at : at + batch]], length) for at in range(0, len(order), batch)]
