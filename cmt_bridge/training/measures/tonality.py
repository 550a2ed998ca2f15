"""Which pitches a piece uses, and how evenly; drums are left out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.key import key_of
from cmt_bridge.core.tempo import TICKS_PER_BAR

__all__ = ["in_key", "pitch_class_entropy", "pitch_entropy"]

PITCHES = 128
PITCH_CLASSES = 12
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))  # major, natural minor; semitones above the tonic


def pitch_class_entropy(notes: GridNotes, bars: int, *, window: int | None = None) -> float:
    """Return the entropy in bits (0..log2 12) of the notes per pitch class, the mean over windows of `window` bars.

    A window starts on every bar line from which it fits; those without a note are left out. Without `window` it is the
    whole piece. NaN where no window has a note. Source: Wu & Yang 2020, section 5, with windows of 1 and 4 bars.
    """
    pitched = _pitched(notes)
    bar = pitched[:, Grid.ONSET] // TICKS_PER_BAR
    pitched, bar = pitched[bar < bars], bar[bar < bars]
    cells = bar * PITCH_CLASSES + pitched[:, Grid.PITCH] % PITCH_CLASSES
    per_bar = np.bincount(cells, minlength=bars * PITCH_CLASSES).reshape(bars, PITCH_CLASSES)
    until = np.concatenate([np.zeros((1, PITCH_CLASSES), np.int64), np.cumsum(per_bar, axis=0)])
    width = bars if window is None else window
    counts = until[width:] - until[: len(until) - width]
    counts = counts[counts.any(axis=1)]
    return float(_entropy(counts).mean()) if len(counts) else math.nan


def pitch_entropy(notes: GridNotes) -> float:
    """Return the entropy in bits (0..7) of the notes per MIDI pitch over the whole piece; NaN where it has none."""
    pitched = _pitched(notes)
    if not len(pitched):
        return math.nan
    return float(_entropy(np.bincount(pitched[:, Grid.PITCH], minlength=PITCHES)))


def in_key(notes: GridNotes) -> float:
    """Return the share of notes (0..1) that belong to the scale of the piece's key; NaN where it has none.

    The key is that of the whole piece, from sounding time. The minor scale is the natural one: the same notes as its
    relative major, so that a mistake between the two costs nothing.
    """
    pitched = _pitched(notes)
    if not len(pitched):
        return math.nan
    classes = pitched[:, Grid.PITCH] % PITCH_CLASSES
    ticks = np.maximum(1, pitched[:, Grid.DURATION])
    tonic, mode = key_of(np.bincount(classes, weights=ticks, minlength=PITCH_CLASSES).astype(np.float64))
    return float(np.isin((classes - tonic) % PITCH_CLASSES, SCALES[mode]).mean())


def _pitched(notes: GridNotes) -> GridNotes:
    chosen: GridNotes = notes[notes[:, Grid.INSTRUMENT] != Instrument.DRUMS]
    return chosen


def _entropy(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the entropy in bits of histograms along the last axis, none of them empty."""
    shares = counts / counts.sum(axis=-1, keepdims=True)
    bits: npt.NDArray[np.float64] = -(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(axis=-1)
    return bits
