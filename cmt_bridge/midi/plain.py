"""MIDI files in plain ASCII, for hosts that take no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cmt_bridge.midi.events import META, TEXTS, Event, chunk_of, file_of, meta_event, meta_values
from cmt_bridge.midi.file import MidiTrack, parsed
from cmt_bridge.midi.text import ascii_of, text_of

__all__ = ["in_ascii"]


def in_ascii(data: bytes, path: Path) -> bytes:
    """Return the bytes of a MIDI file with its text in ASCII; `path` names it. Raises as `parsed` does."""
    file = parsed(data, path)
    return file_of(file.kind, file.division, [chunk_of(_plain(track)) for track in file.tracks])


def _plain(track: MidiTrack) -> Iterator[Event]:
    for tick, message in track.events:
        if message[0] == META and message[1] in TEXTS:
            message = meta_event(message[1], ascii_of(text_of(meta_values(message))).encode("ascii"))
        yield tick, message
