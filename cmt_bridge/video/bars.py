"""Find black bars around a picture, so that what is measured is the picture alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["GLIMPSES", "WHOLE", "Active", "active_area"]

GLIMPSES: Final = 12  # pictures of a film that are looked at
FEWEST: Final = 3  # of them that must show something
BLACK: Final = 20  # of 255; compression lets bars shimmer
SEEN: Final = 48  # of 255, that a picture has beside its bars
SHARE: Final = 98  # percentile of a line's brightness that counts: single specks do not
NARROWEST: Final = 0.02  # of the height or width; less is the edge of an old transfer
WIDEST: Final = 0.4  # on either side
BESIDE: Final = 0.015  # of the height or width: how near to a bar the picture must be seen
UNEVEN: Final = 0.03  # by which opposite bars may differ

SAMPLES: Final = 128  # pixels of a line that are looked at

Gray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Active:
    """The part of a picture that shows something, by shares of its height and width from top and left."""

    top: float = 0.0
    bottom: float = 1.0
    left: float = 0.0
    right: float = 1.0


WHOLE: Final = Active()


def active_area(pictures: Iterable[Gray]) -> Active:
    """Return what lies between black bars that all pictures of a film have; the whole where that is not certain.

    `pictures` are some from all over the film. Bars lie on opposite sides, are as wide on both, and end sharply: a dark
    scene does not. Bars that come and go belong to the picture.
    """
    rows: list[npt.NDArray[np.float64]] = []
    columns: list[npt.NDArray[np.float64]] = []
    for picture in pictures:
        if rows and (len(rows[0]), len(columns[0])) != picture.shape:
            return WHOLE
        height, width = picture.shape
        by_row = _bright(picture[:, :: max(1, width // SAMPLES)], 1)
        if by_row.max(initial=0.0) < SEEN:
            continue  # black, or nearly
        rows.append(by_row)
        columns.append(_bright(picture[:: max(1, height // SAMPLES)], 0))
    if len(rows) < FEWEST:
        return WHOLE
    top, bottom = _between(np.stack(rows))
    left, right = _between(np.stack(columns))
    return Active(top, bottom, left, right)


def _bright(picture: Gray, axis: int) -> npt.NDArray[np.float64]:
    place = picture.shape[axis] * SHARE // 100
    return np.asarray(np.partition(picture, place, axis=axis).take(place, axis=axis), np.float64)


def _between(lines: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return where the bars on both sides end, by the brightness of lines, shape (pictures, lines)."""
    count = lines.shape[1]
    lit = np.flatnonzero(lines.max(axis=0) > BLACK)
    if not len(lit):
        return 0.0, 1.0
    first, last = int(lit[0]), int(lit[-1]) + 1
    before, after = first / count, 1.0 - last / count
    if not (min(before, after) >= NARROWEST and max(before, after) <= WIDEST and abs(before - after) <= UNEVEN):
        return 0.0, 1.0
    reach = max(2, round(BESIDE * count))
    for edge in (lines[:, first : first + reach], lines[:, last - reach : last]):
        if np.mean(edge.max(axis=1) >= SEEN) < 0.5:
            return 0.0, 1.0
    return first / count, last / count
