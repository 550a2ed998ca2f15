"""Which bars a person means: by number, by seconds, by markers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cmt_bridge.core.markers import is_called
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.errors import UsageError

if TYPE_CHECKING:
    from cmt_bridge.core.score import Marker, Score

__all__ = ["Bars", "bars_of"]

Bars = tuple[int, int]
"""The first bar from 0, and the one after the last."""


def bars_of(
    score: Score, *, bars: str | None, start: str | None, end: str | None, marker: str | None
) -> tuple[Bars, ...]:
    """Give the stretches of bars that one of three ways names: `bars`; `start` and `end`; `marker`.

    Raises `UsageError` where it is not one of them, or names what is not there.
    """
    ways = [bars is not None, start is not None or end is not None, marker is not None]
    if sum(ways) != 1:
        raise UsageError(
            "Which bars?", hint="Give --bars such as 4-8, or --from and --to, or --marker with a marker's name."
        )
    if bars is not None:
        return tuple(_range(part) for part in bars.split(","))
    if marker is not None:
        return (_at_marker(score, marker),)
    return (_between(score, start, end),)


def _range(text: str) -> Bars:
    found = re.fullmatch(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*", text)
    if not found:
        raise UsageError(f"--bars cannot read {text!r}.", hint="Give bars such as 4-8, or 4-8,13.")
    return int(found[1]) - 1, int(found[2] or found[1])


def _between(score: Score, start: str | None, end: str | None) -> Bars:
    """Give the bars from the one that holds a moment to the one that holds another; a marker begins a bar, or ends it.

    A moment on a bar line ends the bar before it where a marker is meant, since what it names begins there.
    """
    first = 0 if start is None else _bar_of(score, start)
    last = score.bars if end is None else _bar_of(score, end, ends=True)
    return first, min(score.bars, last)


def _bar_of(score: Score, moment: str, *, ends: bool = False) -> int:
    """Give the bar (from 0) that holds a moment; the one after it where it `ends` there."""
    try:
        return int(score.tempo_map.ticks(float(moment)) // TICKS_PER_BAR) + ends
    except (ValueError, OverflowError):
        return max(ends, _line_of(score, _marker(score, moment)))


def _line_of(score: Score, marker: Marker) -> int:
    """Give the bar line nearest to a marker."""
    return min(score.bars, max(0, round(score.tempo_map.ticks(marker.seconds) / TICKS_PER_BAR)))


def _at_marker(score: Score, name: str) -> Bars:
    """Give the bars from a marker to the next one of its kind, or to the end."""
    marker = _marker(score, name)
    first = min(score.bars - 1, _line_of(score, marker))
    later = (_line_of(score, other) for other in sorted(score.markers) if other.kind == marker.kind)
    return first, next((line for line in later if line > first), score.bars)


def _marker(score: Score, name: str) -> Marker:
    """Find a marker by its name, or by the beginning of it where only one begins so.

    `Hit 3` is `Hit 3 · strong`, and never one of `Hit 30`.
    """
    wanted = name.strip().casefold()
    exact = [m for m in score.markers if m.text.casefold() == wanted]
    near = exact or [m for m in score.markers if wanted and is_called(m.text, name)]
    near = near or [m for m in score.markers if wanted and m.text.casefold().startswith(wanted)]
    if len({m.text for m in near}) == 1:
        return min(near)
    names = ", ".join(dict.fromkeys(m.text for m in sorted(score.markers))) or "none"
    reason = "several markers that begin with" if near else "no marker"
    raise UsageError(
        f"There is {reason} {name.strip()!r}.".replace("is several", "are several"), hint=f"Markers: {names}."
    )
