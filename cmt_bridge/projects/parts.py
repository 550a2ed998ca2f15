"""MIDI files of single parts, each with the tempo map: for hosts and scripts that take one track at a time."""

from __future__ import annotations

from cmt_bridge.core.files import file_name
from cmt_bridge.midi.events import (
    END_OF_TRACK,
    TRACK_NAME,
    Event,
    chunk_of,
    file_of,
    meta_event,
    metre_event,
    tempo_event,
)
from cmt_bridge.projects.arrangement import Arrangement, Part

__all__ = ["part_files"]


def part_files(arrangement: Arrangement) -> dict[str, bytes]:
    """Return a file of one track (format 0) for each part of the take that is heard, by names such as `Piano take
    2.mid`.

    Every event is on its tick. All files are as long as the take.
    """
    found: dict[str, bytes] = {}
    taken: set[str] = set()
    for part in arrangement.version.parts:
        stem = f"{file_name(part.name)} {file_name(arrangement.version.name)}"
        name, count = f"{stem}.mid", 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem} ({count}).mid"
        taken.add(name.casefold())
        found[name] = _file(arrangement, part)
    return found


def _file(arrangement: Arrangement, part: Part) -> bytes:
    version = arrangement.version
    time: list[Event] = [(tick, tempo_event(uspq)) for tick, uspq in version.tempos]
    time += [(tick, metre_event(numerator, denominator)) for tick, numerator, denominator in version.metres]
    name = meta_event(TRACK_NAME, part.name.encode(errors="replace"))
    events = sorted([(0, name), *time, *part.events], key=lambda event: event[0])
    last = max(version.length, events[-1][0])
    return file_of(0, version.division, [chunk_of([*events, (last, meta_event(END_OF_TRACK))])])
