"""The timecode at which a film begins, in a MIDI file that is there."""

from __future__ import annotations

from cmt_bridge.core.timecode import Counting
from cmt_bridge.midi.events import META, SMPTE_OFFSET, TEXTS, Event, chunk_of, file_of, offset_event
from cmt_bridge.midi.file import MidiFile

__all__ = ["offset_stated"]


def offset_stated(file: MidiFile, counting: Counting) -> bytes | None:
    """Return the bytes of a MIDI file that states the timecode of its beginning (FF 54), once and first of all.

    Every other event stays as it is. None where it is so already, or nothing is known of the film's timecode.
    """
    wanted: Event = (0, offset_event(counting))
    tracks = [track.events for track in file.tracks] if counting.is_known else []
    stated = [(number, event) for number, events in enumerate(tracks) for event in events if _is_offset(event)]
    if not tracks or stated == [(0, wanted)]:
        return None
    first, *others = [[event for event in events if not _is_offset(event)] for events in tracks]
    before = next((index for index, event in enumerate(tracks[0]) if _is_offset(event) and not event[0]), None)
    place = next((index for index, event in enumerate(first) if not _is_head(event)), len(first))
    place = place if before is None else before
    chunks = [chunk_of(events) for events in ([*first[:place], wanted, *first[place:]], *others)]
    return file_of(file.kind, file.division, chunks)


def _is_offset(event: Event) -> bool:
    return event[1][0] == META and event[1][1] == SMPTE_OFFSET


def _is_head(event: Event) -> bool:
    tick, message = event
    return not tick and message[0] == META and message[1] in TEXTS
