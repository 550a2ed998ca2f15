"""Whole bars that a piece shares with music learned from."""

from __future__ import annotations

from typing import Final

import numpy as np

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.training.measures.hashes import Numbers, inverse, mixed, powers, sums

__all__ = ["Windows"]

PITCHES: Final = 128
LEAST_NOTES = 16  # with fewer there is nothing to copy
LEAST_INSTRUMENTS = 2

BAR_BASE, PITCH_BASE = 0xAF251AF3B0F025B3, 0xF1357AEA2E62A9C3  # odd; drawn once
PLACES = mixed(np.arange(1, (max(Instrument) + 1) * TICKS_PER_BAR + 1)).reshape(-1, TICKS_PER_BAR)
DRUM_KEYS = mixed(np.arange(1, PITCHES + 1) << 32)
UP, DOWN = powers(PITCH_BASE, PITCHES), powers(inverse(PITCH_BASE), PITCHES)


class Windows:
    """The windows of a piece: bars in a row from any bar line, by which instruments start which notes on which ticks.

    The first pitched note tells the key, so that transposed windows are equal; drums count by their keys. Durations and
    velocities do not count.
    """

    def __init__(self, notes: GridNotes, bars: int) -> None:
        notes = notes[notes[:, Grid.ONSET] < bars * TICKS_PER_BAR].astype(np.int64)
        bar, tick = np.divmod(notes[:, Grid.ONSET], TICKS_PER_BAR)
        instrument, pitch = notes[:, Grid.INSTRUMENT], notes[:, Grid.PITCH]
        is_drum = instrument == Instrument.DRUMS
        numbers = PLACES[instrument, tick] * np.where(is_drum, DRUM_KEYS[pitch], UP[pitch])
        numbers *= powers(BAR_BASE, bars + 1)[bar]
        lines = np.searchsorted(bar, np.arange(bars + 1))  # the notes before each bar line
        self._drums = sums(np.where(is_drum, numbers, np.uint64(0)))[lines]
        self._pitched = sums(np.where(is_drum, np.uint64(0), numbers))[lines]
        self._inverses = powers(inverse(BAR_BASE), bars + 1)
        first = np.searchsorted(bar[~is_drum], np.arange(bars + 1))  # where there is none, nothing is to be transposed
        self._keys = DOWN[np.append(pitch[~is_drum], 0)[first]]
        plays = np.zeros((max(Instrument) + 1, bars + 1), np.int64)
        np.add.at(plays, (instrument, bar + 1), 1)
        self._played = np.cumsum(plays, axis=1)

    def numbers(self, length: int) -> Numbers:
        """Return the numbers of the windows of `length` bars, shape (bars - length + 1,)."""
        count = max(0, len(self._keys) - length)
        pitched = self._pitched[length:] - self._pitched[:count]
        drums = self._drums[length:] - self._drums[:count]
        numbers: Numbers = (pitched * self._keys[:count] + drums) * self._inverses[:count]
        return numbers

    def telling(self, length: int) -> Numbers:
        """Return the numbers of those windows that have 16 notes or more, of two instruments or more."""
        count = max(0, len(self._keys) - length)
        played = self._played[:, length:] - self._played[:, :count]
        enough = (played.sum(axis=0) >= LEAST_NOTES) & ((played > 0).sum(axis=0) >= LEAST_INSTRUMENTS)
        numbers: Numbers = self.numbers(length)[enough]
        return numbers
