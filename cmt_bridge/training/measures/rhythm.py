"""How alike the rhythms of a piece's bars are."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.tempo import TICKS_PER_BAR

__all__ = ["grooving", "onsets"]


def onsets(notes: GridNotes, bars: int) -> npt.NDArray[np.bool_]:
    """Return whether a note starts on each tick of each bar, shape (bars, 16); notes after the last bar are
    left out.
    """
    starts = np.zeros(bars * TICKS_PER_BAR, np.bool_)
    ticks = notes[:, Grid.ONSET]
    starts[ticks[ticks < len(starts)]] = True
    return starts.reshape(bars, TICKS_PER_BAR)


def grooving(notes: GridNotes, bars: int, *, positions: int = TICKS_PER_BAR) -> float:
    """Return the grooving similarity (0..1): 1 less the mean share of a bar's positions on which two bars differ.

    The mean is exact, over all pairs of bars, silent ones too; NaN where the piece has no two bars or no note. Source:
    Wu & Yang 2020, section 5. They divide a bar into 64 positions, the grid has its 16 ticks; `positions` = 64 gives
    the figure to compare with theirs, in which three of four positions are silent and hence alike.
    """
    starts = onsets(notes, bars)
    if bars < 2 or not starts.any():
        return math.nan
    with_onset = starts.sum(axis=0)  # of n bars with an onset on a tick, each differs there from the others' bars - n
    differing = int((with_onset * (bars - with_onset)).sum())
    return 1 - differing / (positions * bars * (bars - 1) / 2)
