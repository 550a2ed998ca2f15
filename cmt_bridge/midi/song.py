"""MIDI files as songs: the notes of each track and program, for all who look at music as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.instruments import instrument_of
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.song import Song, SongTrack
from cmt_bridge.errors import MidiError
from cmt_bridge.midi.events import (
    DRUM_CHANNEL,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM_CHANGE,
    TRACK_NAME,
)
from cmt_bridge.midi.file import MAX_BARS, MidiFile, MidiTrack, read_midi
from cmt_bridge.midi.line import metres_of, tempos_of
from cmt_bridge.midi.pairing import ends_of
from cmt_bridge.midi.text import text_of

__all__ = ["read_song", "song_of"]

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@takes_paths
def read_song(path: Path) -> Song:
    """Read a MIDI file, type 0 or 1, any resolution; a track holding several channels or programs comes apart.

    Ends are those of `pairing`. Raises `MidiError` where the file cannot be read, is no MIDI file, or holds no note.
    """
    return song_of(read_midi(path), path)


def song_of(file: MidiFile, path: Path) -> Song:
    """Return the song of a MIDI file; `path` names it. Raises `MidiError` where it holds no note."""
    tracks = [song_track for track in file.tracks for song_track in _tracks_of(track)]
    if not any(len(track.notes) for track in tracks):
        raise MidiError(f"{path} holds no notes.", hint="Give a MIDI file with notes in it.")
    metres = metres_of(file)
    if len({tick for tick, _, _ in metres}) > MAX_BARS:
        raise MidiError(f"{path} changes its metre more than {MAX_BARS:,} times.", hint="Export it again.")
    return Song(
        name=path.stem,
        ticks_per_quarter=file.division,
        tracks=tuple(tracks),
        tempos=tempos_of(file),
        metres=metres,
    )


def _tracks_of(track: MidiTrack) -> list[SongTrack]:
    statuses = np.frombuffer(track.statuses, np.uint8)
    kinds = statuses & np.uint8(0xF0)
    is_note = (kinds == NOTE_ON) | (kinds == NOTE_OFF)
    where = np.flatnonzero(is_note)
    if not len(where):
        return []
    data = np.frombuffer(track.data, np.uint8)
    ticks, places = np.frombuffer(track.ticks, np.int64)[where], np.frombuffer(track.places, np.int64)[where]
    channels, pitches = (statuses[where] & 0xF).astype(np.int64), data[places].astype(np.int64)
    velocities = data[places + 1].astype(np.int64)
    begins = (kinds[where] == NOTE_ON) & (velocities > 0)
    _, ends = ends_of(ticks, channels << 7 | pitches, begins, track.end)
    on = np.flatnonzero(begins)
    notes = np.stack([ticks[on], ends, pitches[on], velocities[on]], axis=1)
    notes_of = channels[on] << 7 | _programs(track, statuses, kinds, where[on], channels[on])
    name = ""
    for _, _, values in track.metas(TRACK_NAME):
        name = text_of(values)
    found = []
    for key in np.unique(notes_of).tolist():
        channel, program = key >> 7, key & 0x7F
        mine = notes[notes_of == key]
        mine = mine[np.lexsort((mine[:, 2], mine[:, 0]))]
        is_drum = channel == DRUM_CHANNEL
        found.append(SongTrack(name, program, is_drum, instrument_of(program, is_drum=is_drum, name=name), mine))
    return found


def _programs(track: MidiTrack, statuses: Bytes, kinds: Bytes, where: Numbers, channels: Numbers) -> Numbers:
    """Return the program at each of some events, by their numbers and channels."""
    programs = np.zeros(len(where), np.int64)
    changes = np.flatnonzero(kinds == PROGRAM_CHANGE)
    for channel in np.unique(statuses[changes] & 0xF).tolist():
        here = changes[statuses[changes] & 0xF == channel]
        said = np.array([0, *(track.data[track.places[at]] for at in here.tolist())], np.int64)
        mine = channels == channel
        programs[mine] = said[np.searchsorted(here, where[mine])]
    return programs
