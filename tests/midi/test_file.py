"""MIDI files as they come: what is meant is read, and what is not clear is refused in a sentence."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.errors import MidiError
from cmt_bridge.midi.events import Event
from cmt_bridge.midi.file import MAX_EVENTS, parsed, read_midi
from cmt_bridge.midi.line import metres_of, tempos_of
from cmt_bridge.midi.song import read_song, song_of
from cmt_bridge.outputs.midi import write_midi
from tests.outputs.midifiles import chunk, meta, midi, number, played
from tests.outputs.test_midi import make_score

NAME = Path("a.mid")
END = b"\x00\xff\x2f\x00"
NOTES = played(10, 480)
LIST = b"INFOINAM\x07\0\0\0My Song\0"
LATE = chunk(played(960, 1440, 62))


def simple_file(kind: int = 1, division: int = 480) -> bytes:
    file = mido.MidiFile(type=kind, ticks_per_beat=division)
    track = file.add_track("Guitar")
    track += [mido.Message("note_on", note=60, time=10), mido.Message("note_off", note=60, time=470)]
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"RMID" + b"".join(
        name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def notes_of(data: bytes) -> list[list[int]]:
    """Give start, end, pitch and velocity of every note."""
    return sorted(note for track in song_of(parsed(data, NAME), NAME).tracks for note in track.notes.tolist())


def raw(data: bytes, *, stated: int | None = None) -> bytes:
    """Give a track of bytes, and another length perhaps."""
    return b"MTrk" + (len(data) if stated is None else stated).to_bytes(4) + data


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    score = make_score(4)
    write_midi(score, tmp_path / "song.mid")
    song = read_song(tmp_path / "song.mid")
    assert song.name == "song"
    assert song.tempos == tuple((change.tick * 120, change.uspq) for change in score.tempo_map.changes)
    assert [track.instrument for track in song.tracks] == list(Instrument)
    assert song.tracks[1].notes.tolist() == [[b * 1920, b * 1920 + 360, 42, 62] for b in range(4)]


SIMPLE = simple_file()
BODY = b"\x0a\x90\x3c\x40\x83\x56\x80\x3c\x40"


@pytest.mark.parametrize(
    "data",
    [
        simple_file(0),
        SIMPLE,
        midi(chunk(NOTES), kind=2),  # of one track, so nothing is unclear
        b"RIFF\0\0\0\0RMIDdata\0\0\0\0" + SIMPLE,
        riff((b"data", SIMPLE)),
        riff((b"LIST", LIST), (b"data", SIMPLE)),
        riff((b"LIST", LIST + b"odd"), (b"data", SIMPLE), (b"LIST", LIST)),
        riff((b"data", SIMPLE), (b"DLS ", bytes(range(256)))),
        riff((b"data", SIMPLE))[:-1] + b"\0\0MTrk",
        b"\0" * 128 + SIMPLE,  # a Macintosh's head
        b"Content-Type: audio/midi\r\n\r\n" + SIMPLE,
        SIMPLE + b"junk",
        SIMPLE + b"Created with a sequencer, unregistered\r\n",
        SIMPLE + bytes(1000),
        SIMPLE + b"\xff" * 7,
        SIMPLE + simple_file(0),  # another file, which is not this one
        SIMPLE[:8] + SIMPLE[8:14].ljust(10, b"\0") + SIMPLE[14:],  # the head's length is wrong
        SIMPLE[:4] + (10).to_bytes(4) + SIMPLE[8:14] + b"more" + SIMPLE[14:],
        SIMPLE[:10] + (9).to_bytes(2) + SIMPLE[12:],  # other numbers of tracks
        SIMPLE[:10] + bytes(2) + SIMPLE[12:],
        SIMPLE[:14] + b"XFIH" + (3).to_bytes(4) + b"abc" + SIMPLE[14:] + b"XFKM\0\0\0\1x",
        midi(raw(BODY)),  # no end of track
        midi(raw(BODY), b"XFKM\0\0\0\1x"),
        midi(raw(BODY + END, stated=0)),  # a length that was never filled in
        midi(raw(BODY + END, stated=0xFFFFFFFF)),
        midi(raw(BODY + END, stated=len(BODY))),
        midi(raw(BODY + END, stated=len(BODY + END) + 3), b"xyz"),
        midi(raw(BODY + END + b"behind the end")),
        midi(raw(b"\x0a\x90\x3c\x40\x83\x56\x3c\x00" + END)),  # running status
        midi(raw(b"\x0a\x90\x3c\x40\x00\xff\x01\x01x\x83\x56\x3c\x00" + END)),  # over a text
        midi(raw(b"\x0a\x90\x3c\x40\x00\xf8\x83\x56\x3c\x00" + END)),  # and over a clock
        midi(
            raw(b"\x0a\x90\x3c\x40\x00\xf1\x15\x00\xf2\x10\x20\x00\xf3\x05\x00\xf6\x00\xfe" + b"\x83\x56\x3c\x00" + END)
        ),
        midi(raw(b"\x00\xf7\x06\xf1\0\0\x9f\x90\x11" + BODY + END)),  # sent as it is, whatever that may be
        midi(raw(b"\x00\xf0\x05\x90\x3c\x40\xff\x2f" + BODY + END)),  # in an exclusive that is none
    ],
)
def test_what_is_meant_is_read(data: bytes) -> None:
    assert [note[:3] for note in notes_of(data)] == [[10, 480, 60]]


@pytest.mark.parametrize("between", [b"", b"\0", b"XFIH\0\0\0\2ab", b"XFIH\0\0\0\1a\0", b"\xff\xfe\xfd"])
def test_no_track_is_lost_behind_something_else(between: bytes) -> None:
    data = midi(chunk(NOTES), between, LATE, kind=0)
    assert [note[0] for note in notes_of(data)] == [10, 960]
    assert parsed(data, NAME).kind == 1


@pytest.mark.parametrize("stated", [0, 3, 0xFFFFFF, 0xFFFFFFFF])
def test_no_track_is_lost_behind_one_of_a_wrong_length(stated: int) -> None:
    assert [note[0] for note in notes_of(midi(raw(BODY + END, stated=stated), LATE))] == [10, 960]


@pytest.mark.parametrize(
    ("event", "metres", "tempos"),
    [
        (meta(0x59, b"\x02\0\0"), (), ()),
        (meta(0x59, b"\x02\0"), (), ()),
        (meta(0x58, b"\x03\x02"), ((5, 3, 4),), ()),
        (meta(0x58, b"\x06\x03\x18\x08\x01"), ((5, 6, 8),), ()),
        (meta(0x51, b"\x07\xa1\x20\0"), (), ((5, 500_000),)),
        (meta(0x51, b"\0\0\0"), (), ()),
        (meta(0x54, b"\x60"), (), ()),
        (b"\xf8", (), ()),
    ],
)
def test_odd_events_are_read_and_kept(event: bytes, metres: tuple[object, ...], tempos: tuple[object, ...]) -> None:
    file = parsed(midi(chunk([(5, event), *NOTES])), NAME)
    assert (5, event) in file.tracks[0].events
    assert (metres_of(file), tempos_of(file)) == (metres, tempos)
    assert len(notes_of(midi(chunk([(5, event), *NOTES])))) == 1


def test_events_are_what_stands_in_the_file() -> None:
    events: list[Event] = [
        (0, b"\x90\x3c\x40"),
        (0, meta(1, b"x" * 200)),
        (200, b"\x90\x3c\x00"),
        (201, b"\xc0\x05"),
        (300, b"\xf0\x02\x43\xf7"),
        (300, b"\xf2\x01\x02"),
    ]
    (track,) = parsed(midi(chunk(events, running=True)), NAME).tracks
    assert list(track.events) == [*events, (300, b"\xff\x2f\x00")]
    assert list(track.metas(1, 0x2F)) == [(0, 1, b"x" * 200), (300, 0x2F, b"")]


def patched(at: int, value: bytes) -> bytes:
    return SIMPLE[:at] + value + SIMPLE[at + len(value) :]


HALF = b"\0\x90\x3c\x40" + b"\0\x3c\x40" * (MAX_EVENTS // 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"not music at all", "is not a MIDI file"),
        (b"MThd", "is not a MIDI file"),
        (bytes(2**17) + SIMPLE, "is not a MIDI file"),
        (SIMPLE[:-9], "damaged MIDI file: it is cut off"),
        (midi(chunk(NOTES), raw(BODY)[:-3]), "it is cut off"),
        (midi(raw(BODY + b"\0\xff\x01\x7fshort")), "it is cut off"),
        (midi(chunk([]), chunk([]), kind=2), "of type 2"),
        (midi(chunk([]), chunk([]), kind=9), "of type 9"),
        (patched(12, b"\xe7\x28"), "counts in timecode"),
        (patched(12, b"\0\0"), "does not say how many ticks"),
        (patched(34, b"\xc9"), "damaged"),
        (patched(25, b"\x7f"), "damaged"),
        (patched(22, b"\xff\xff\xff\xff"), "damaged MIDI file: a number is too long"),
        (midi(raw(b"\0\x3c\x40" + END)), "what is no MIDI event"),
        (midi(raw(b"\0\xf4" + END)), "what is no MIDI event"),
        (midi(raw(b"\0\x90\x3c\xf8" + END)), "a value is out of range"),
        (midi(raw(b"\0\xf2\x90\x10" + END)), "a value is out of range"),
        (midi(chunk([(0, meta(0x51, b"\x07\xa1"))])), "wrong length"),
        (midi(chunk([(0, meta(0x58, b"\x04"))])), "wrong length"),
        (midi(chunk([(0, meta(0x58, b"\0\x02\x18\x08"))])), "time signature is impossible"),
        (midi(raw(b"".join(number(2**28 - 1) + b"\x90\x3c\x40" for _ in range(100)))), "beyond bar 10,000"),
        (midi(raw(HALF + HALF + END)), "more than 1,000,000 events"),
        (midi(raw(HALF + END), raw(HALF + END)), "more than 1,000,000 events"),
        (SIMPLE[:14], "holds no notes"),
        (midi(chunk([(0, b"\x80\x3c\x40")])), "holds no notes"),
        (SIMPLE[:14] + b"MTrk\0\0\0\0" * 4_097, "damaged MIDI file: it has more than 4,096 tracks"),
        (SIMPLE[:14] + b"MTrk\0\0\0\0" * 1_000_000, "damaged MIDI file: it has more than 4,096 tracks"),
        (bytes(2**24 + 1), "larger than 16 MB"),
    ],
    ids=range(29),
)
def test_what_is_not_clear_is_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.mid"
    path.write_bytes(data)
    with pytest.raises(MidiError, match=message) as caught:
        read_song(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.mid", tmp_path / "a\0b.mid"):
        with pytest.raises(MidiError, match="Cannot read"):
            read_midi(path)


@pytest.mark.shared
def test_the_originals_songs_read(shared: Path) -> None:
    assert all(read_song(path).tracks for path in sorted((shared / "reference" / "midi").glob("*.mid")))
    with pytest.raises(MidiError, match="holds no notes"):
        read_song(shared / "reference" / "midi" / "odd" / "e4_empty.mid")
