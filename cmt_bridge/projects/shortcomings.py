"""What a kind of project cannot say as it is, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cmt_bridge.core.timecode import LABELLED, MIDI, USUAL, Counting, Rate
from cmt_bridge.projects import ardourtime, reaper
from cmt_bridge.projects.arrangement import Arrangement

__all__ = ["moved_takes", "shortcomings"]

COUNTED: Final[Mapping[str, tuple[str, tuple[Rate, ...]]]] = {
    "reaper": ("A REAPER project", reaper.COUNTED),
    "ardour": ("Ardour", ardourtime.COUNTED),
    "midi": ("MIDI", MIDI),
    "garageband": ("MIDI", MIDI),
    "edl": ("An EDL", LABELLED),
    "csv": ("A label of two digits", LABELLED),
    "otio": ("OpenTimelineIO", USUAL),
}
"""Who counts in which rates, by the name of the format."""


def shortcomings(name: str, arrangement: Arrangement) -> tuple[str, ...]:
    """Return sentences about what a format cannot say of an arrangement: its timecode, its takes."""
    return (*_timecode(name, arrangement.counting), *moved_takes(name, arrangement))


def _timecode(name: str, counting: Counting) -> Iterator[str]:
    if name == "dawproject" and counting.start.count:
        yield f"A DAWproject has no place for timecode: that it begins at {counting.start} is not in it."
    if name in COUNTED:
        what, known = COUNTED[name]
        yield from counting.told(what, known)
        if not counting.is_known and counting.start.count and name != "otio":
            yield f"The film's frame rate is not known: timecode counts {counting.rate.name}. Say another by --rate."


def moved_takes(name: str, arrangement: Arrangement) -> tuple[str, ...]:
    """Return sentences about the takes that a format does not hold as they are."""
    heard, others = arrangement.version.name, [version for version in arrangement.versions if version.is_moved]
    if name in ("reaper", "ardour") and others:
        names = " and ".join(version.name for version in others)
        verb = "have another tempo" if len(others) > 1 else "has another tempo"
        return (f"{names} {verb} than {heard}: every note is where its time is in the film, off the bars.",)
    if name == "dawproject" and len(arrangement.versions) > 1:
        return (
            f"A DAWproject holds one take, which is {heard}: choose another, or name it by --take, for the others.",
        )
    return ()
