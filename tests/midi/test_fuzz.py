"""Any bytes: every reader gives music or a sentence, and all that read a file have the same notes of it."""

from __future__ import annotations

import io
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import mido
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.score import Marker, Note
from cmt_bridge.core.timecode import counting_of
from cmt_bridge.errors import CmtBridgeError, MidiError
from cmt_bridge.midi.events import releases, strikes
from cmt_bridge.midi.file import MidiFile, parsed
from cmt_bridge.midi.pairing import pairs
from cmt_bridge.midi.plain import in_ascii
from cmt_bridge.midi.provenance import provenance_of
from cmt_bridge.midi.song import song_of
from cmt_bridge.outputs.audio import playable
from cmt_bridge.outputs.edited import edited_of
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.outputs.splice import spliced
from cmt_bridge.projects.ardour import write_session
from cmt_bridge.projects.arrangement import Arrangement, arranged, version_of
from cmt_bridge.projects.constant import constant_tempo
from cmt_bridge.projects.dawproject import dawproject_bytes
from cmt_bridge.projects.parts import part_files
from cmt_bridge.projects.reaper import reaper_text
from cmt_bridge.training.parts import read_parts
from tests.outputs.midifiles import chunk, meta, midi, named, number, played, programmed, tempo
from tests.outputs.test_midi import make_score
from tests.projects.films import edited_midi

ROUNDS = int(os.environ.get("CMT_BRIDGE_FUZZ", "250"))
"""How many files are tried; set it to have more."""

Random = random.Random
END = b"\x00\xff\x2f\x00"
ODD = (
    b"\xf7\x06\xf1\0\0\x9f\x90\x11",
    b"\xf0\x03\x43\x12\x00",
    b"\xf7\x03\x01\x02\xf7",
    b"\xf7\x01\xf3",
    b"\xf8",
    b"\xf2\x10\x20",
    meta(0x59, b"\x02\0\0"),
    meta(0x58, b"\x04\x02"),
    meta(0x58, b"\x07\x03\x18\x08"),
    meta(0x51, b"\0\0\0"),
    meta(0x51, b"\0\0\1"),
    meta(0x51, b"\xff\xff\xff"),
    meta(0x03, b"Fl\xfbte"),
    meta(0x03, b"\x83\x73\x83\x41\x83\x6d"),
    meta(0x06, b"Cut 1"),
    meta(0x06, b"\xff\0\n\x81"),
    meta(0x20, b"\x7f"),
    meta(0x20),
    meta(0x7F, b"\x7dcmt-bridge {"),
    meta(0x2F),
    b"\x90\x3c\x40",
    b"\x99\x24\x40",
    b"\x80\x3c\x00",
    b"\xc0\x7f",
    b"\xe0\x00\x40",
    b"\x3c\x40",
)
HEARD = (b"\xff\x2f", b"\xff\x51", b"\xff\x7f")  # ends, tempos, and what divides gaps too long to state
DELTAS = (0, 0, 0, 1, 119, 120, 480, 1920, 2**14, 2**21, 2**28 - 1)


def seeds() -> list[bytes]:
    """Give files of the kinds that there are: ours, one that was edited, one of type 0, one of many odd events."""
    drums = [(tick, b"\x99\x24\x40") for tick in range(0, 7680, 120)]
    piano = [named("Piano"), programmed(5, 2), *played(0, 480), *played(240, 960, channel=2)]
    mixed = chunk([*piano, *drums], running=True)
    events = [event for event in ODD if event[0] >= 0x80 and event != meta(0x2F)]
    odd = chunk([tempo(9, 1), *((60 * at, event) for at, event in enumerate(events))])
    return [midi_bytes(make_score(4)), edited_midi(), midi(mixed, kind=0), midi(odd, chunk(played(0, 1920)), kind=1)]


def flipped(data: bytes, chance: Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        found[chance.randrange(len(found))] = chance.choice((0, 1, 0x7F, 0x80, 0xF0, 0xF7, 0xFF, chance.randrange(256)))
    return bytes(found)


def cut(data: bytes, chance: Random) -> bytes:
    return data[: chance.randrange(len(data))] + chance.randbytes(chance.randint(0, 8))


def stuffed(data: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.choice((chance.choice(ODD), chance.randbytes(chance.randint(1, 9)))) + data[at:]


def doubled(data: bytes, chance: Random) -> bytes:
    first, last = sorted((chance.randrange(len(data)), chance.randrange(len(data))))
    return data[:last] + data[first : first + 300] * chance.randint(1, 3) + data[last:]


def swapped(data: bytes, chance: Random) -> bytes:
    """Change tracks event by event, so that the file stays one."""
    file = parsed(data, Path("seed"))
    chunks = []
    for track in file.tracks:
        body = b""
        events = [message for _, message in track.events[:-1]]
        for message in events if chance.random() < 0.5 else chance.sample(events, len(events)):
            if chance.random() < 0.1:
                body += number(chance.choice(DELTAS)) + chance.choice(ODD)
            if chance.random() < 0.95:
                body += number(chance.choice(DELTAS[:8])) + message
        body += END if chance.random() < 0.9 else b""
        size = len(body) if chance.random() < 0.9 else chance.choice((0, len(body) - 3, len(body) + 5, 2**32 - 1))
        chunks.append(b"MTrk" + (size % 2**32).to_bytes(4) + body)
        if chance.random() < 0.1:
            chunks.append(chance.choice((b"XFIH\0\0\0\2ab", b"\0", b"junk", chunk([]))))
    division = chance.choice((1, 96, 480, 480, 480, 0x7FFF))
    return midi(*chunks, kind=chance.choice((0, 1, 1, 2)), division=division)


def wrapped(data: bytes, chance: Random) -> bytes:
    size = len(data) if chance.random() < 0.7 else chance.randrange(2**32)
    before = b"RIFF" + bytes(4) + b"RMID" + chance.choice((b"", b"LIST\4\0\0\0INFO"))
    return before + b"data" + size.to_bytes(4, "little") + data


CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (flipped, cut, stuffed, doubled, swapped, swapped, wrapped)


def refused(read: Callable[[], object]) -> bool:
    """Tell whether what is read is refused in a sentence; what else goes wrong is a fault."""
    try:
        read()
    except CmtBridgeError as error:
        return "\n" not in str(error)
    return False


def begun_by_mido(data: bytes) -> int | None:
    """Give how many notes another library sees begin; None where it refuses or is known to go astray."""
    try:
        file = mido.MidiFile(file=io.BytesIO(data), charset="latin-1")
    except Exception:
        return None
    return sum(m.type == "note_on" and m.velocity > 0 for track in file.tracks for m in track)


def notes_of(file: MidiFile, path: Path) -> list[tuple[int, ...]]:
    """Give start, end, pitch and velocity of every note."""
    return sorted(tuple(note) for track in song_of(file, path).tracks for note in track.notes.tolist())


def canonical(file: MidiFile) -> bytes:
    """Give what was understood as a file that leaves nothing to understand."""
    chunks = [chunk(track.events[:-1], end=track.end) for track in file.tracks]
    return midi(*chunks, kind=file.kind, division=file.division)


def tried(data: bytes, folder: Path) -> bool:
    """Have every reader and writer try a file; tell whether it is music."""
    path = folder / "a.mid"
    path.write_bytes(data)
    read_parts(path)
    refused(lambda: in_ascii(data, path))
    if refused(lambda: song_of(parsed(data, path), path)):
        for read in (lambda: version_of(path, ""), lambda: edited_of(data, path).tracks(), lambda: playable(data)):
            refused(read)
        return False
    file = parsed(data, path)
    notes = notes_of(file, path)
    assert len(notes) == sum(strikes(message) for track in file.tracks for _, message in track.events)
    assert all(0 <= start <= end for start, end, *_ in notes)
    assert notes == notes_of(parsed(canonical(file), path), path)
    there = begun_by_mido(canonical(file))
    assert there is None or there == len(notes)
    provenance_of(file)
    edited = edited_of(data, path)
    assert sorted((n.start, n.end, n.pitch, n.velocity) for n in edited.notes) == notes
    edited.markers((Marker(1.0, "cut", "Cut 1"),))
    edited.tracks()
    refused(lambda: _splice_and_compare(data, path))
    refused(lambda: _heard(data, notes))
    _laid_out(path, folder, notes)
    return True


def _splice_and_compare(data: bytes, path: Path) -> None:
    edited = edited_of(data, path)
    again = edited_of(spliced(edited, [(Instrument.PIANO, Note(16, 127, 4))], [(1, 2)], [Instrument.PIANO]), path)
    outside = [n for n in edited.notes if n.start < edited.ticks_per_bar and n.off is not None]
    after = [(n.start, n.pitch, n.velocity) for n in again.notes]
    for note in outside:
        after.remove((note.start, note.pitch, note.velocity))


def _heard(data: bytes, notes: list[tuple[int, ...]]) -> None:
    said = playable(data)
    begun = begun_by_mido(said)
    assert begun == len(notes)
    for track in parsed(said, Path("said")).tracks:
        assert all(message[0] < 0xF1 or message[:2] in HEARD for _, message in track.events)


def _laid_out(path: Path, folder: Path, notes: list[tuple[int, ...]]) -> None:
    version = version_of(path, "take 1")
    assert sorted((n.start, n.end, n.pitch, n.velocity) for p in version.parts for n in p.notes) == notes
    assert all(pair.off is not None for part in version.parts for pair in pairs(part.events))
    arrangement: Arrangement = arranged("x", [version], 0, markers=(), duration=9.0, counting=counting_of((25, 1)))
    for name, data in part_files(arrangement).items():
        part = parsed(data, Path(name))
        assert sum(releases(m) for t in part.tracks for _, m in t.events) >= sum(
            strikes(m) for t in part.tracks for _, m in t.events
        )
    dawproject_bytes(arrangement, None)
    reaper_text(arrangement, None)
    refused(lambda: constant_tempo(arrangement))
    session = folder / "session"
    session.mkdir()
    write_session(arrangement, session, name="x")
    files = [parsed(file.read_bytes(), file) for file in session.rglob("*.mid")]
    assert sum(len(pairs(track.events)) for file in files for track in file.tracks) == len(notes)
    shutil.rmtree(session)


def test_whatever_the_bytes_are(tmp_path: Path) -> None:
    chance = Random(15)
    whole = seeds()
    music = 0
    for _ in range(ROUNDS):
        data = chance.choice(whole)
        for _ in range(chance.randint(1, 3)):
            try:
                data = chance.choice(CHANGES)(data, chance) or b"\0"
            except (MidiError, IndexError):
                break
        try:
            music += tried(data, tmp_path)
        except Exception as error:
            raise AssertionError(f"the file: {data.hex()}") from error
    assert ROUNDS // 10 < music < ROUNDS  # most are damaged, but many are read


@pytest.mark.parametrize("number_", range(4))
def test_the_seeds_themselves(number_: int, tmp_path: Path) -> None:
    assert tried(seeds()[number_], tmp_path)
