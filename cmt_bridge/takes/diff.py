"""How two takes differ: note for note and event for event, as their MIDI files say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Final

from cmt_bridge.core.tempo import BEATS_PER_BAR
from cmt_bridge.midi.events import META, Event, meta_values, releases, strikes
from cmt_bridge.outputs.edited import read_edited
from cmt_bridge.projects.arrangement import Part, Version, version_of
from cmt_bridge.takes.take import Take

__all__ = ["Diff", "TrackDiff", "diff"]

MARKER: Final = 0x06
KINDS: Final[Mapping[int, str]] = {
    0xA0: "key pressure",
    0xB0: "controllers",
    0xC0: "programs",
    0xD0: "pressure",
    0xE0: "pitch bends",
    0xF0: "system exclusives",
}

Sayings = dict[str, Counter[Hashable]]
"""What is said of each kind, each with its position in quarters first."""


@dataclass(frozen=True, slots=True)
class TrackDiff:
    """How two takes differ in a track.

    `bars`, counted from 1, are those in which notes differ, and `only_first` and `only_second` say how many there are
    only in the one or the other. `also` are the bars in which messages of other kinds differ, by their kind.
    """

    track: str
    bars: tuple[int, ...]
    only_first: int
    only_second: int
    also: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Diff:
    """How two takes differ: their tempos in BPM at the beginning, tracks that differ, and what else does.

    `also` are the bars in which tempo, metre or markers differ.
    """

    tempo: tuple[float, float]
    tracks: tuple[TrackDiff, ...]
    also: Mapping[str, tuple[int, ...]]


def diff(first: Take, second: Take) -> Diff:
    """Compare the MIDI files of two takes. Raises `ScoreError`, `MidiError` where one cannot be read."""
    before, after = (version_of(take.midi, f"take {take.number}") for take in (first, second))
    bar_of = _bars(after if len(after.metres) > len(before.metres) else before)
    also = {
        **_differing(_timing(before), _timing(after), bar_of),
        **_differing(_markers(first), _markers(second), bar_of),
    }
    names = dict.fromkeys(part.name for version in (before, after) for part in version.parts)
    tracks = (_track(name, before, after, bar_of) for name in names)
    return Diff((before.bpm, after.bpm), tuple(each for each in tracks if each), also)


def _track(name: str, first: Version, second: Version, bar_of: Callable[[Fraction], int]) -> TrackDiff | None:
    before, after = _part(first, name), _part(second, name)
    struck = [_notes(part, version) for part, version in ((before, first), (after, second))]
    lost, won = struck[0] - struck[1], struck[1] - struck[0]
    also = {}
    if before is not None and after is not None:
        also = _differing(_others(before, first), _others(after, second), bar_of)
    if not (lost or won or also):
        return None
    return TrackDiff(name, _where(lost + won, bar_of), lost.total(), won.total(), also)


def _part(version: Version, name: str) -> Part | None:
    return next((part for part in version.parts if part.name == name), None)


def _notes(part: Part | None, version: Version) -> Counter[Hashable]:
    quarters = _quarters(version)
    notes = part.notes if part is not None else ()
    return Counter((quarters(n.start), quarters(n.end), n.channel, n.pitch, n.velocity) for n in notes)


def _others(part: Part, version: Version) -> Sayings:
    """Return the messages of a part that are no notes; a program that is there already is none."""
    found: Sayings = {}
    quarters, program = _quarters(version), 0
    for tick, message in part.events:
        kind = message[0] & 0xF0
        if strikes(message) or releases(message):
            continue
        if KINDS[kind] == "programs":
            if message[1] == program:
                continue
            program = message[1]
        found.setdefault(KINDS[kind], Counter())[quarters(tick), message] += 1
    return found


def _timing(version: Version) -> Sayings:
    quarters = _quarters(version)
    return {
        "tempo": Counter((quarters(tick), *rest) for tick, *rest in _steps(version.tempos)),
        "metre": Counter((quarters(tick), *rest) for tick, *rest in _steps(version.metres)),
    }


def _steps(changes: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """Leave out changes to what is there already."""
    before: tuple[int, ...] = ()
    for tick, *rest in changes:
        if tuple(rest) != before:
            before = tuple(rest)
            yield tick, *rest


def _markers(take: Take) -> Sayings:
    edited = read_edited(take.midi)
    events: Iterable[Event] = (event for track in edited.events for event in track)
    found = Counter[Hashable](
        (Fraction(tick, edited.ticks_per_quarter), meta_values(message))
        for tick, message in events
        if message[0] == META and message[1] == MARKER
    )
    return {"markers": found}


def _differing(first: Sayings, second: Sayings, bar_of: Callable[[Fraction], int]) -> dict[str, tuple[int, ...]]:
    found = {}
    for kind in dict.fromkeys((*first, *second)):
        before, after = first.get(kind, Counter()), second.get(kind, Counter())
        bars = _where((before - after) + (after - before), bar_of)
        if bars:
            found[kind] = bars
    return found


def _where(differing: Iterable[Hashable], bar_of: Callable[[Fraction], int]) -> tuple[int, ...]:
    return tuple(sorted({bar_of(each[0]) for each in differing}))  # type: ignore[index]


def _quarters(version: Version) -> Callable[[int], Fraction]:
    return lambda tick: Fraction(tick, version.division)


def _bars(version: Version) -> Callable[[Fraction], int]:
    """Return what tells the bar, from 1, of a position in quarters; a metre begins a bar."""
    starts: list[tuple[Fraction, int, Fraction]] = []
    quarters, bar, length, last = _quarters(version), 0, Fraction(BEATS_PER_BAR), Fraction(0)
    for tick, numerator, denominator in version.metres:
        bar += -floor(-(quarters(tick) - last) / length)
        length, last = Fraction(4 * numerator, denominator), quarters(tick)
        starts.append((last, bar, length))

    def bar_of(position: Fraction) -> int:
        start, first, each = max((each for each in starts if each[0] <= position), key=lambda each: each[0])
        return first + floor((position - start) / each) + 1

    return bar_of
