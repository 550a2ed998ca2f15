"""Find hard cuts. Pure functions of curves."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.metadata import Cut
from cmt_bridge.video.beats import Curve

__all__ = ["Sights", "cut_scores", "find_cuts", "glances", "kinship"]

REACH: Final = 0.5  # s to either side that count as a frame's neighbourhood
UNREST: Final = 1.5  # how often a cut must exceed what is usual around it to score a half
LEAST: Final = 0.025  # change, 0..1, that a cut must exceed in a quiet picture to score a half
NEAREST: Final = 0.09  # s to either side within which a cut is the most abrupt
FLASH: Final = 0.3  # s within which a picture that comes back was never left
RETURNED: Final = 0.4  # of the jump, by which a picture that comes back may differ
FLAT: Final = 0.004  # contrast, 0..1, of a picture that shows nothing: a grey level
FROM_NOTHING: Final = 0.1  # contrast, with which a picture after one that shows nothing is wholly another

Sights = npt.NDArray[np.uint8]


def glances(sights: Sights) -> npt.NDArray[np.float32]:
    """Return pictures at a glance as rows of numbers from 0 to 1, shape (n, pixels)."""
    return sights.reshape(len(sights), -1).astype(np.float32) / np.float32(255)


def kinship(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> Curve:
    """Return how alike pictures are but for brightness and contrast, from 0 to 1: the correlation of their rows.

    One that shows nothing is the less kin to another the more that shows: a fade has no cut where it leaves black.
    """
    a, b = (each - each.mean(axis=1, keepdims=True) for each in (first, second))
    contrast = np.stack([a.std(axis=1), b.std(axis=1)])
    likeness = np.mean(a * b, axis=1) / np.maximum(contrast[0] * contrast[1], 1e-9)
    flat = contrast < FLAT
    alike = np.where(flat.any(axis=0), 1.0 - contrast.max(axis=0) / FROM_NOTHING, likeness)
    kin: Curve = np.clip(alike, 0.0, 1.0).astype(np.float64)
    return kin


def changes(residual: npt.NDArray[np.float32], pictures: npt.NDArray[np.float32]) -> Curve:
    """Return how much of the content changed with each frame, 0..1, shape (n,).

    That is the grey difference that motion does not explain, as far as the picture is another one and not the same in
    another light.
    """
    found = residual.astype(np.float64)
    found[1:] *= 1.0 - kinship(pictures[:-1], pictures[1:])
    return found


def cut_scores(seconds: Curve, change: Curve) -> Curve:
    """Return each frame's likeness to the first frame of a shot, 0..1, shape (n,).

    `change` is weighed against the second highest around it, so that unrest (an explosion, a chase) is no row of cuts,
    but two cuts close together are two; and against the highest beside it, so that a whip pan is none.
    What is around is counted in seconds: a picture that is held is as quiet as the same picture many times over.
    """
    scores = np.zeros(len(change))
    low = np.searchsorted(seconds, seconds - REACH)
    high = np.searchsorted(seconds, seconds + REACH, side="right")
    near = np.searchsorted(seconds, seconds - NEAREST)
    next_ = np.searchsorted(seconds, seconds + NEAREST, side="right")
    for i, value in enumerate(change):
        if value <= LEAST / 10:
            continue
        around = np.concatenate([(0.0, 0.0), change[max(1, low[i]) : i], change[i + 1 : high[i]]])
        beside = np.concatenate([(0.0,), change[max(1, near[i]) : i], change[i + 1 : next_[i]]])
        unrest = max(float(np.partition(around, -2)[-2]), float(beside.max()))
        scores[i] = value / (value + UNREST * unrest + LEAST)
    return scores


def find_cuts(
    seconds: Curve,
    residual: npt.NDArray[np.float32],
    sights: Sights,
    sensitivity: float,
) -> tuple[Cut, ...]:
    """Return the hard cuts, each at the first frame of a shot; `sensitivity` from 0 (score 0.9 needed) to 1 (score
    0.1).

    A flash is no cut, since the picture from before it comes back.
    """
    pictures = glances(sights)
    scores = cut_scores(seconds, changes(residual, pictures))
    needed = 0.9 - 0.8 * sensitivity
    cuts: list[int] = []
    for i in np.flatnonzero(scores >= needed):
        low, high = np.searchsorted(seconds, (seconds[i] - NEAREST, seconds[i] + NEAREST))
        is_first = not (cuts and seconds[i] - seconds[cuts[-1]] < NEAREST and scores[cuts[-1]] == scores[i])
        if scores[i] == scores[low:high].max() and is_first and not _is_flash(seconds, pictures, int(i)):
            cuts.append(int(i))
    return tuple(Cut(seconds=float(seconds[i]), score=float(scores[i])) for i in cuts)


def _is_flash(seconds: Curve, pictures: npt.NDArray[np.float32], i: int) -> bool:
    """Return whether a frame only begins or ends what interrupts a shot."""
    before, after = pictures[i - 1], pictures[i]
    jump = float(np.abs(after - before).mean())
    until = int(np.searchsorted(seconds, seconds[i] + FLASH, side="right"))
    since = int(np.searchsorted(seconds, seconds[i - 1] - FLASH))
    returns = [np.abs(pictures[i + 1 : until] - before), np.abs(pictures[since : i - 1] - after)]
    return any(len(each) and float(each.mean(axis=1).min()) < RETURNED * jump for each in returns)
