"""Measure how the picture moves between two frames. Pure functions of two grey pictures."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Motion:
    """What moved from one frame to the next.

    `speed` is mean(|u|, |v|) in pixels of a 360-line picture. `directogram` has shape (DIRECTIONS,): the flow magnitude
    per direction, in the same pixels, averaged over the picture. `residual` is the mean absolute grey difference, 0..1,
    that remains after the first frame is moved along the flow: what motion cannot explain.
    """

    speed: float
    directogram: npt.NDArray[np.float32]
    residual: float


STILL: Final = Motion(0.0, np.zeros(DIRECTIONS, np.float32), 0.0)


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
    return Motion(speed, directogram, _residual(before, after, flow))


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
