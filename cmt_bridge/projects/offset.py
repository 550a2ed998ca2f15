"""The timecode at which a film begins, in a MIDI file that is there."""

from __future__ import annotations

from cmt_bridge.core.timecode import Counting
from cmt_bridge.outputs.midibytes import META, SMPTE_OFFSET, Event, chunk_of, events_of, file_of, offset_event

__all__ = ["offset_stated"]

LAST_TEXT = 0x0F  # names and other texts, which stay before it


def offset_stated(data: bytes, counting: Counting) -> bytes:
    """Give a MIDI file, known to be in order, that states the timecode of its beginning (FF 54), once and first of all.

    Every other event stays as it is. Where nothing is known of the film's timecode, the file does.
    """
    if not counting.is_known:
        return data
    wanted: Event = (0, offset_event(counting))
    tracks = []
    at = 14
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8])
        tracks.append(list(events_of(data[at + 8 : at + 8 + size])))
        at += 8 + size
    stated = [(number, event) for number, events in enumerate(tracks) for event in events if _is_offset(event)]
    if not tracks or stated == [(0, wanted)]:
        return data
    first, *others = [[event for event in events if not _is_offset(event)] for events in tracks]
    before = next((index for index, event in enumerate(tracks[0]) if _is_offset(event) and not event[0]), None)
    place = next((index for index, event in enumerate(first) if not _is_head(event)), len(first))
    place = place if before is None else before
    chunks = [chunk_of(events) for events in ([*first[:place], wanted, *first[place:]], *others)]
    return file_of(int.from_bytes(data[8:10]), int.from_bytes(data[12:14]), chunks)


def _is_offset(event: Event) -> bool:
    return event[1][0] == META and event[1][1] == SMPTE_OFFSET


def _is_head(event: Event) -> bool:
    tick, message = event
    return not tick and message[0] == META and 0 < message[1] <= LAST_TEXT
