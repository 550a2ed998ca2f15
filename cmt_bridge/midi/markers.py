"""The markers of a file, which is the truth: those that a score knows, moved, renamed and added ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cmt_bridge.core.score import Marker
from cmt_bridge.midi.line import Line

__all__ = ["kind_of", "markers_in"]

KINDS: Final = {"cut": "cut", "beat": "beat", "hit": "beat"}
"""What the first word of a marker's text says of it; others begin a section."""


def kind_of(text: str) -> str:
    """Return the kind of a marker by its text."""
    return KINDS.get(text.lower().partition(" ")[0], "section")


def markers_in(said: Sequence[tuple[int, str]], line: Line, known: Iterable[Marker] = ()) -> tuple[Marker, ...]:
    """Return the markers that a file states as (file tick, text), at their seconds on its line.

    One that is `known`, and lies where it did to a tick, is the known one, with its exact time. Others are of the kind
    of a known one of their name, else of one that had another name on their tick. A file without markers says nothing
    of them: it gives those that are known.
    """
    known = tuple(known)
    if not said:
        return known
    ticks = [max(0, round(line.ticks(mark.seconds))) for mark in known]
    places = {(tick, mark.text): mark for tick, mark in zip(ticks, known, strict=True)}
    kinds = {mark.text: mark.kind for mark in reversed(known)}
    there = dict(zip(ticks, known, strict=True))
    found = []
    for tick, text in said:
        near = (tick, tick - 1, tick + 1)
        same = next((places[at, text] for at in near if (at, text) in places), None)
        if same is None:
            before = next((there[at].kind for at in near if at in there), None)
            same = Marker(float(line.seconds(tick)), kinds.get(text) or before or kind_of(text), text)
        found.append(same)
    return tuple(sorted(found))
