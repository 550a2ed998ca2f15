"""Find hard cuts. Pure functions of curves."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.metadata import Cut
from cmt_bridge.video.beats import Curve

__all__ = ["cut_scores", "find_cuts"]

REACH: Final = 0.5  # s to either side that count as a frame's neighbourhood
FEWEST_NEIGHBOURS: Final = 3  # frames to either side, where frames are rare
UNREST: Final = 1.5  # how often a cut must exceed what is usual around it to score a half
LEAST: Final = 0.04  # grey difference, 0..1, that a cut must exceed in a quiet picture to score a half
NEAREST: Final = 2  # frames to either side within which a cut is the most abrupt


def cut_scores(seconds: Curve, residual: npt.NDArray[np.float32]) -> Curve:
    """Give each frame's likeness to the first frame of a shot, 0..1, shape (n,).

    `residual` is the grey difference from the frame before that motion does not explain. It is weighed against the
    second highest around it, so that unrest (an explosion, a fast pan) is no row of cuts, but two cuts close together
    are two.
    """
    values = residual.astype(np.float64)
    scores = np.zeros(len(values))
    order = np.arange(len(values))
    low = np.minimum(np.searchsorted(seconds, seconds - REACH), np.maximum(0, order - FEWEST_NEIGHBOURS))
    high = np.maximum(np.searchsorted(seconds, seconds + REACH, side="right"), order + 1 + FEWEST_NEIGHBOURS)
    for i, value in enumerate(values):
        if value <= LEAST / 10:
            continue
        around = np.concatenate([values[max(1, low[i]) : i], values[i + 1 : high[i]]])
        unrest = float(np.partition(around, -2)[-2]) if len(around) > 1 else 0.0
        scores[i] = value / (value + UNREST * unrest + LEAST)
    return scores


def find_cuts(seconds: Curve, residual: npt.NDArray[np.float32], sensitivity: float) -> tuple[Cut, ...]:
    """Give the hard cuts; `sensitivity` from 0 (score 0.9 needed) to 1 (score 0.1 needed)."""
    scores = cut_scores(seconds, residual)
    needed = 0.9 - 0.8 * sensitivity
    cuts: list[int] = []
    for i in np.flatnonzero(scores >= needed):
        around = scores[max(0, i - NEAREST) : i + NEAREST + 1]
        if scores[i] == around.max() and not (cuts and i - cuts[-1] <= NEAREST and scores[cuts[-1]] == scores[i]):
            cuts.append(int(i))
    return tuple(Cut(seconds=float(seconds[i]), score=float(scores[i])) for i in cuts)
