"""Compound words: the named columns of a token row and what their classes mean.

A song is a bar token, then, for every tick in order and every instrument with notes there, one beat token and its
note tokens; an EOS token ends it. Source: the paper's section 4.1 and the released code.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.tempo import TICKS_PER_BAR

__all__ = [
    "BAR",
    "CHOSEN",
    "CLASSES",
    "COLUMNS",
    "DURATIONS",
    "MAX_POSITION",
    "SAMPLED",
    "VELOCITY_STEP",
    "Column",
    "TokenRows",
    "Type",
    "beat_timing",
]

TokenRows = npt.NDArray[np.int64]
"""Shape (rows, 10), columns as in `Column`."""


class Column(IntEnum):
    """The columns of a token row; those before `TIMING` are predicted by the paper's network, `TIMING` and
    `POSITION` are computed, `VELOCITY` is said by networks that know it.
    """

    BEAT = 0  # 0 none, 1..16 tick of the bar, 17 bar line
    TYPE = 1
    DENSITY = 2  # bar: simu-note ticks + 1; beat: those that remain, itself included, + 1
    PITCH = 3  # MIDI pitch + 1
    DURATION = 4  # index into `DURATIONS` + 1: sixteenths + 1 up to a bar
    INSTRUMENT = 5  # 0 none, then `Instrument`
    STRENGTH = 6  # notes that follow in this simu-note
    TIMING = 7  # how much of the piece has gone, in per cent + 1
    POSITION = 8  # tick since the start of the piece
    VELOCITY = 9  # 0 not known, else MIDI velocity // 8 + 1; not of the paper


class Type(IntEnum):
    """The type column: which kind of token a row is."""

    EOS = 0
    RHYTHM = 1
    NOTE = 2


COLUMNS: Final = len(Column)
CLASSES: Final[tuple[int, ...]] = (18, 3, 18, 129, 18, 6, 20, 102, 5025, 17)
"""Number of classes of each column, as in the published checkpoints, which have no velocity."""

DURATIONS: Final = (*range(TICKS_PER_BAR + 1), 20, 24, 32, 48, 64)
"""Ticks of the duration classes from 1 on. The paper's end with a bar; the others are coarser, up to four bars."""

VELOCITY_STEP: Final = 8

SAMPLED: Final[tuple[Column, ...]] = (
    Column.BEAT,
    Column.DENSITY,
    Column.PITCH,
    Column.DURATION,
    Column.INSTRUMENT,
    Column.STRENGTH,
)
"""The columns drawn for a word of a given type, in the order of the heads of the paper's network."""

CHOSEN: Final = (*SAMPLED, Column.VELOCITY)
"""All columns that any network draws."""

BAR: Final = 17
"""The beat column of a bar token."""

MAX_POSITION: Final = CLASSES[Column.POSITION] - 1


def beat_timing(beat: npt.ArrayLike, n_beat: int) -> npt.NDArray[np.int64]:
    """Return the timing column (1..101) of ticks `beat` in a piece of `n_beat` ticks, as at the original's
    inference.
    """
    fraction = np.clip(np.asarray(beat, dtype=np.float64) / max(1, n_beat), 0.0, 1.0)
    return (np.round(100.0 * fraction) + 1).astype(np.int64)
