"""How two takes differ."""

from __future__ import annotations

from dataclasses import dataclass

from cmt_bridge.core.score import Score
from cmt_bridge.core.tempo import TICKS_PER_BAR

__all__ = ["Difference", "difference"]


@dataclass(frozen=True, slots=True)
class Difference:
    """How two takes differ in a track: the bars, counted from 1, and how many notes only the one or the other has."""

    track: str
    bars: tuple[int, ...]
    only_first: int
    only_second: int


def difference(first: Score, second: Score) -> list[Difference]:
    """Give how the notes of two scores differ, for each track that does."""
    found = []
    for before, after in zip(first.tracks, second.tracks, strict=False):
        lost, won = set(before.notes) - set(after.notes), set(after.notes) - set(before.notes)
        if lost or won:
            bars = sorted({note.onset // TICKS_PER_BAR + 1 for note in lost | won})
            found.append(Difference(before.name, tuple(bars), len(lost), len(won)))
    return found
