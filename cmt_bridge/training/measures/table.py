"""The table of sanity: measures of generated music beside those of held-out songs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import GridNotes
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.training.measures.sanity import PITCHED, Sanity, sanity_of

__all__ = ["MEASURES", "Row", "compare", "values_of"]

Floats = npt.NDArray[np.float64]
Measure = Callable[[GridNotes, int], float]

LOW, MIDDLE, HIGH = 10, 50, 90  # percentiles: the middle 80 % of held-out songs


def _of(figure: Callable[[Sanity], float]) -> Measure:
    return lambda notes, bars: float(figure(sanity_of(notes, bars)))


def _repeated(sanity: Sanity) -> float:
    shares = [share for share in sanity.repeated.values() if not math.isnan(share)]
    return sum(shares) / len(shares) if shares else math.nan


def _notes_per_bar(instrument: Instrument) -> Measure:
    return _of(lambda s: s.notes_per_bar[instrument] or math.nan)


def _range(instrument: Instrument) -> Measure:
    return _of(lambda s: s.high[instrument] - s.low[instrument])


MEASURES: Final[tuple[tuple[str, Measure], ...]] = (
    ("notes in key", _of(lambda s: s.in_key)),
    ("bass onsets on drums", _of(lambda s: s.bass_on_drums)),
    ("repeated notes", _of(_repeated)),
    ("empty bars", _of(lambda s: s.empty_bars)),
    ("bars without drums", _of(lambda s: s.silent_bars[Instrument.DRUMS])),
    ("bars without bass", _of(lambda s: s.silent_bars[Instrument.BASS])),
    *((f"{instrument.title.lower()} notes per bar", _notes_per_bar(instrument)) for instrument in Instrument),
    *((f"{instrument.title.lower()} range", _range(instrument)) for instrument in PITCHED),
    ("drum keys", _of(lambda s: s.drum_keys or math.nan)),
    ("kick, snare and hi-hat", _of(lambda s: s.backbone)),
)
"""The rows of the table: name and measure of (notes, bars), NaN where it does not apply; see `Sanity`.

Figures of an instrument are of the pieces in which it plays, since who plays is a matter of arrangement. Repeated notes
are the mean over the pitched instruments that play. A range is in semitones, from the 5th to the 95th percentile. The
number of drum keys grows with the length of a piece: compare pieces of the same length.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A measure of held-out songs, `low`, `middle` and `high` their 10th, 50th and 90th percentile, and the median
    `generated`; NaN where it applies to no piece.
    """

    name: str
    low: float
    middle: float
    high: float
    generated: float

    @property
    def within(self) -> bool:
        """Return whether the generated median lies in the middle 80 % of held-out songs; no where either is
        not known.
        """
        return self.low <= self.generated <= self.high


def values_of(notes: GridNotes, bars: int) -> Floats:
    """Return the values of a piece in the order of `MEASURES`, shape (measures,).

    For a piece from a file count `bars` up to its last onset: the length of a file often adds a silent one.
    """
    return np.array([measure(notes, bars) for _, measure in MEASURES])


def compare(held_out: Floats, generated: Floats) -> tuple[Row, ...]:
    """Return the table from the values of held-out songs and generated pieces, shapes (pieces, measures)."""
    return tuple(
        Row(name, *_percentiles(held_out[:, column], LOW, MIDDLE, HIGH), *_percentiles(generated[:, column], MIDDLE))
        for column, (name, _) in enumerate(MEASURES)
    )


def _percentiles(values: Floats, *percents: float) -> list[float]:
    known = values[~np.isnan(values)]
    return [float(np.percentile(known, percent)) if len(known) else math.nan for percent in percents]
