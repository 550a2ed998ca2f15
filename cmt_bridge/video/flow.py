"""Measure how the picture moves between two frames. Pure functions of two grey pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from cmt_bridge.video.stream import LINES

__all__ = ["DIRECTIONS", "Motion", "motion_between"]

DIRECTIONS: Final = 16
"""Bins of a directogram; bin 0 starts at angle 0 (to the right), angles go clockwise as rows count down."""

DIRECTOGRAM_STRIDE: Final = 2  # flow is smooth over its 15-pixel window; every second pixel says the same
RESIDUAL_STRIDE: Final = 4
GLANCE: Final = (160, 90)  # pixels on which the picture as a whole is looked for
FAR: Final = 0.06  # of the width or height; about as far as flow follows


@dataclass(frozen=True)
class Motion:
    """What moved from one frame to the next.

    `speed` is mean(|u|, |v|) in pixels of a 360-line picture. `directogram` has shape (DIRECTIONS,): the flow magnitude
    per direction, in the same pixels, averaged over the picture. `residual` is the mean absolute grey difference, 0..1,
    that remains after the first frame is moved along the flow: what motion cannot explain. `pan` is how surely the
    picture moved as a whole and farther than flow can follow, 0..1: the height of the peak of phase correlation.
    """

    speed: float
    directogram: npt.NDArray[np.float32]
    residual: float
    pan: float


STILL: Final = Motion(0.0, np.zeros(DIRECTIONS, np.float32), 0.0, 0.0)


def motion_between(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> Motion:
    """Measure the motion between two grey pictures of shape (lines, width) by Farneback's method.

    Parameters of the flow are those of the original (paper, section 3.2; released code).
    """
    if np.array_equal(before, after):
        return STILL
    flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]
    unit = LINES / before.shape[0]  # small pictures are measured on fewer lines
    speed = float(cv2.norm(flow, cv2.NORM_L1)) / flow.size * unit
    directogram = _directogram(flow[::DIRECTOGRAM_STRIDE, ::DIRECTOGRAM_STRIDE]) * np.float32(unit)
    return Motion(speed, directogram, _residual(before, after, flow), _pan(before, after))


def _directogram(flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    size, angle = cv2.cartToPolar(np.ascontiguousarray(flow[..., 0]), np.ascontiguousarray(flow[..., 1]))
    bins = (angle * np.float32(DIRECTIONS / (2 * np.pi))).astype(np.intp) % DIRECTIONS
    sums = np.bincount(bins.ravel(), weights=size.ravel(), minlength=DIRECTIONS)
    return (sums / size.size).astype(np.float32)


def _residual(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], flow: npt.NDArray[np.float32]) -> float:
    rows, columns = (np.arange(0, side, RESIDUAL_STRIDE, dtype=np.float32) for side in after.shape)
    x, y = np.meshgrid(columns, rows)
    sparse = flow[::RESIDUAL_STRIDE, ::RESIDUAL_STRIDE]
    target = cv2.remap(after, x + sparse[..., 0], y + sparse[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    origin = before[::RESIDUAL_STRIDE, ::RESIDUAL_STRIDE]
    return float(np.mean(cv2.absdiff(target, origin))) / 255.0


def _pan(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> float:
    first, second = (
        cv2.resize(each, GLANCE, interpolation=cv2.INTER_AREA).astype(np.float32) for each in (before, after)
    )
    if not first.std() or not second.std():
        return 0.0
    (right, down), peak = cv2.phaseCorrelate(first, second, _window())
    is_far = abs(right) > FAR * GLANCE[0] or abs(down) > FAR * GLANCE[1]
    return min(1.0, max(0.0, float(peak))) if is_far and np.isfinite(peak) else 0.0


@lru_cache(maxsize=1)
def _window() -> npt.NDArray[np.float32]:
    return np.asarray(cv2.createHanningWindow(GLANCE, cv2.CV_32F), np.float32)
