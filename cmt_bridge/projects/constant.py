"""Music at one tempo, for GarageBand and others that take no tempo map from a MIDI file."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from cmt_bridge.midi.events import (
    END_OF_TRACK,
    TRACK_NAME,
    Event,
    chunk_of,
    file_of,
    meta_event,
    metre_event,
    offset_event,
    tempo_event,
)
from cmt_bridge.projects.arrangement import Arrangement

__all__ = ["constant_tempo"]

MICROSECONDS_PER_MINUTE = 60_000_000
FINEST: Final = 15_360
"""Ticks per quarter where notes have to be moved: under 0.2 ms each from 20 BPM on, and within the file's 15 bits."""


def constant_tempo(arrangement: Arrangement) -> tuple[float, bytes]:
    """Return the take that is heard as a MIDI file of one tempo, and that tempo in BPM.

    Where its tempo is constant anyway, every tick stays as it is. Else every event is put where its time falls at the
    mean tempo, to half a tick of 1/15,360 quarter, so that all sounds when it does in the film; bars are not kept, nor
    metres but the first.
    """
    version = arrangement.version
    end = max(1, version.length)
    is_constant = len({uspq for _, uspq in version.tempos}) == 1
    if is_constant:
        uspq, division = version.tempos[0][1], version.division
    else:
        quarters = Fraction(end, version.division)
        uspq, division = round(arrangement.seconds(end) * 1_000_000 / quarters), FINEST

    def moved(tick: int) -> int:
        if is_constant:
            return tick
        return round(arrangement.seconds(tick) * 1_000_000 / uspq * division)

    last = moved(end)
    metres = version.metres if is_constant else version.metres[:1]
    title = meta_event(TRACK_NAME, arrangement.title.encode(errors="replace"))
    head: list[Event] = [(0, title), (0, tempo_event(uspq))]
    head += [(0, offset_event(arrangement.counting))] if arrangement.counting.is_known else []
    head += [(moved(tick), metre_event(numerator, denominator)) for tick, numerator, denominator in metres]
    chunks = [chunk_of([*head, (last, meta_event(END_OF_TRACK))])]
    for part in version.parts:
        events = [(0, meta_event(TRACK_NAME, part.name.encode(errors="replace")))]
        events += [(moved(tick), message) for tick, message in part.events]
        chunks.append(chunk_of([*events, (max(last, events[-1][0]), meta_event(END_OF_TRACK))]))
    return MICROSECONDS_PER_MINUTE / uspq, file_of(1, division, chunks)
