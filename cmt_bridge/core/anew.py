"""What of a score is to be composed anew, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.score import Score
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.errors import UsageError

__all__ = ["PITCHES", "RHYTHM", "Bars", "Request"]

RHYTHM, PITCHES = "rhythm", "pitches"
KEEPS = ("", RHYTHM, PITCHES)

Bars = tuple[int, int]
"""The first bar from 0, and the one after the last."""


@dataclass(frozen=True)
class Request:
    """What is to be composed anew: stretches of bars, in order and apart, and the tracks.

    `keep` is empty, `rhythm` for the very same notes but for their pitches, or `pitches` for a new rhythm of pitches
    that each bar had. With a rhythm drums stay as they are, since their pitches are their rhythm. Raises `UsageError`
    where nothing else would be left, and for anything else to keep.
    """

    bars: tuple[Bars, ...]
    instruments: tuple[Instrument, ...] = tuple(Instrument)
    keep: str = ""

    def __post_init__(self) -> None:
        if self.keep not in KEEPS:
            raise UsageError(f"{self.keep} cannot be kept.", hint="Keep rhythm or pitches.")
        if self.keep == RHYTHM:
            pitched = tuple(i for i in self.instruments if i is not Instrument.DRUMS)
            if self.instruments and not pitched:
                raise UsageError(
                    "Drums have no pitches apart from their rhythm.",
                    hint="Name another track as well, or do not keep the rhythm.",
                )
            object.__setattr__(self, "instruments", pitched)

    def check(self, score: Score) -> None:
        """Raise `UsageError` where a score has no such bars."""
        for first, last in self.bars:
            if not 0 <= first < last <= score.bars:
                raise UsageError(
                    f"There are no bars {first + 1}-{last} in a score of {score.bars}.",
                    hint=f"Give bars from 1 to {score.bars}.",
                )
        if any(a[1] > b[0] for a, b in zip(self.bars, self.bars[1:], strict=False)):
            raise UsageError("A bar is named twice.", hint="Give ranges in order that do not overlap.")
        if not self.instruments:
            raise UsageError("All tracks are locked.", hint="Leave one to be composed anew.")

    def has(self, instrument: Instrument, onset: int) -> bool:
        """Return whether a note is of what is composed anew."""
        bar = onset // TICKS_PER_BAR
        return instrument in self.instruments and any(first <= bar < last for first, last in self.bars)
