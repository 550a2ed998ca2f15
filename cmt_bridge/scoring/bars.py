"""Which bars a person means: by number, by seconds, by markers."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from cmt_bridge.core.markers import is_called
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.errors import UsageError

if TYPE_CHECKING:
    from cmt_bridge.core.score import Marker, Score

__all__ = ["Bars", "bars_of"]

CLOCK = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,3}):)?(-?\d{1,9}(?:\.\d*)?|-?\.\d+)")
MOST_NAMES = 8  # markers that an error lists

Bars = tuple[int, int]
"""The first bar from 0, and the one after the last."""


def bars_of(
    score: Score, *, bars: str | None, start: str | None, end: str | None, marker: str | None
) -> tuple[Bars, ...]:
    """Return the stretches of bars that one of three ways names: `bars`; `start` and `end`; `marker`.

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
    """Return the bars from the one that holds a moment to the one that holds another; a marker begins a bar, or ends
    it.

    A moment on a bar line ends the bar before it where a marker is meant, since what it names begins there.
    """
    first = 0 if start is None else _bar_of(score, "--from", start)
    last = score.bars if end is None else _bar_of(score, "--to", end, ends=True)
    if first >= last:
        begin = f"--from {_where(score, start)}" if start is not None else "the beginning of the film"
        until = f"--to {_where(score, end)}" if end is not None else "the end of the film"
        raise UsageError(
            f"No bar lies between {begin} and {until}.",
            hint="Give an end that lies later; `cmt-bridge markers` lists the markers with their times and bars.",
        )
    return first, min(score.bars, last)


def _bar_of(score: Score, option: str, moment: str, *, ends: bool = False) -> int:
    """Return the bar (from 0) that holds a moment; the one after it where it `ends` there."""
    seconds = _seconds(moment)
    if seconds is None:
        return max(ends, _line_of(score, _marker(score, moment)))
    length = score.duration or float(score.tempo_map.seconds(score.ticks))
    if not 0 <= seconds <= length:
        where = "before the film begins" if seconds < 0 else f"after the film ends, at {length:.1f} s"
        raise UsageError(f"{option} {moment} lies {where}.", hint="Give seconds within the film, or a marker's name.")
    return min(score.bars - 1, int(score.tempo_map.ticks(seconds) // TICKS_PER_BAR)) + ends


def _seconds(moment: str) -> float | None:
    """Read seconds, or minutes and seconds such as 1:02.5; None for what is neither."""
    found = CLOCK.fullmatch(moment.strip())
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def _where(score: Score, moment: str) -> str:
    """Return where a moment is that a person named, by its time and its bar."""
    seconds = _seconds(moment)
    if seconds is None:
        marker = _marker(score, moment)
        moment, seconds = f'"{marker.text}"', marker.seconds
    bar = int(score.tempo_map.ticks(seconds) // TICKS_PER_BAR) + 1
    return f"{moment} (bar {bar}, at {seconds:.1f} s)"


def _line_of(score: Score, marker: Marker) -> int:
    """Return the bar line nearest to a marker."""
    return min(score.bars, max(0, round(score.tempo_map.ticks(marker.seconds) / TICKS_PER_BAR)))


def _at_marker(score: Score, name: str) -> Bars:
    """Return the bars from a marker to the next one of its kind, or to the end."""
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
    raise UsageError(_unknown(score, name.strip(), several=bool(near)), hint=_nearest(score, wanted))


def _unknown(score: Score, name: str, *, several: bool) -> str:
    if several:
        return f"There are several markers that begin with {name!r}."
    return f"There is no marker {name!r}." if score.markers else f"There is no marker {name!r}, nor any other."


def _nearest(score: Score, wanted: str) -> str:
    """Return the names that come nearest to one that is not there, and where all of them are."""
    names = list(dict.fromkeys(marker.text for marker in sorted(score.markers)))
    if len(names) > MOST_NAMES:
        beginning = [name for name in names if wanted and name.casefold().startswith(wanted)]
        known: dict[str, str] = {}  # by all of a name, and by what it is called without how strong it is
        for name in names:
            known.setdefault(name.casefold(), name)
            known.setdefault(name.casefold().partition(" · ")[0], name)
        alike = [known[each] for each in difflib.get_close_matches(wanted, known, 2 * MOST_NAMES, 0.0)]
        nearest = list(dict.fromkeys([*beginning, *alike]))[:MOST_NAMES]
        return f"The nearest of {len(names)}: {', '.join(nearest)}. `cmt-bridge markers` lists all."
    return f"Markers: {', '.join(names)}." if names else "Give seconds, or --bars."
