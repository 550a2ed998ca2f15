from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.score import Marker, Note, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.timecode import counting_of
from cmt_bridge.errors import MidiError
from cmt_bridge.midi.events import END_OF_TRACK, chunk_of, file_of, meta_event
from cmt_bridge.outputs.midi import MIDI_TICKS_PER_QUARTER, write_midi
from cmt_bridge.projects.arrangement import Sounding, Span, arranged, version_of
from tests.outputs.midifiles import chunk, meta, midi, played

STEP = MIDI_TICKS_PER_QUARTER // 4
TEMPOS = TempoMap.of([(0, 500_000), (24, 600_000), (40, 431_655)])
NOTES = (Note(0, 60, 4, 90), Note(4, 64, 12, 70), Note(30, 60, 2, 100))
MARKERS = (
    Marker(0.0, "section", "Section A"),
    Marker(1.25, "cut", "Cut 1"),
    Marker(4.0, "section", "Section B"),
    Marker(5.5, "beat", "Hit 0.95"),
)


@pytest.fixture
def score() -> Score:
    tracks = tuple(Track(instrument, PARTS[instrument].program, NOTES) for instrument in Instrument)
    return Score(TEMPOS, tracks, bars=4, duration=8.0, frame_rate=(24000, 1001), title="Film", markers=MARKERS)


def test_a_take_arrives_as_its_score_says(score: Score, tmp_path: Path) -> None:
    write_midi(score, tmp_path / "film.mid")
    version = version_of(tmp_path / "film.mid", "take 1")
    assert [part.name for part in version.parts] == [instrument.title for instrument in Instrument]
    assert version.tempos == tuple((change.tick * STEP, change.uspq) for change in TEMPOS.changes)
    assert version.metres == ((0, 4, 4),)
    assert version.length == 4 * 16 * STEP
    for part, track in zip(version.parts, score.tracks, strict=True):
        assert (part.channel, part.program) == (PARTS[track.instrument].channel, track.program)
        assert part.notes == tuple(
            Sounding(n.onset * STEP, n.end * STEP, part.channel, n.pitch, n.velocity) for n in track.notes
        )
        assert part.is_drums == (track.instrument is Instrument.DRUMS)


def test_times_are_those_of_the_tempo_map(score: Score, tmp_path: Path) -> None:
    write_midi(score, tmp_path / "film.mid")
    version = version_of(tmp_path / "film.mid", "take 1")
    arrangement = arranged("Film", [version], 0, markers=MARKERS, duration=8.0, counting=counting_of((24000, 1001)))
    for tick in (0, 23, 24, 25, 40, 63):
        assert arrangement.seconds(tick * STEP) == TEMPOS.seconds(tick)
        assert arrangement.ticks(TEMPOS.seconds(tick)) == tick * STEP
    assert arrangement.ticks(Fraction(1, 3)) == TEMPOS.ticks(Fraction(1, 3)) * STEP


def test_sections_follow_each_other_to_the_end(score: Score, tmp_path: Path) -> None:
    write_midi(score, tmp_path / "film.mid")
    version = version_of(tmp_path / "film.mid", "take 1")
    arrangement = arranged("Film", [version], 0, markers=MARKERS, duration=8.0, counting=counting_of((0, 1)))
    assert arrangement.sections == (Span(0.0, 4.0, "Section A"), Span(4.0, 8.0, "Section B"))
    assert [mark.text for mark in arrangement.markers] == ["Cut 1", "Hit 0.95"]
    assert arranged("Film", [version], 0, markers=(), duration=8.0, counting=counting_of((0, 1))).sections == ()


def test_takes_of_another_tempo_keep_their_times(score: Score, tmp_path: Path) -> None:
    other = Score(TempoMap.of([(0, 666_667), (16, 480_000)]), score.tracks, bars=4)
    paths = [tmp_path / f"{number}.mid" for number in range(3)]
    for path, each in zip(paths, (other, score, score), strict=True):
        write_midi(each, path)
    versions = [version_of(path, path.stem) for path in paths]
    arrangement = arranged("Film", versions, 2, markers=(), duration=8.0, counting=counting_of((0, 1)))
    moved, same, heard = arrangement.versions
    assert arrangement.version is heard
    assert [version.is_moved for version in arrangement.versions] == [True, False, False]
    assert (moved.time, same) == (heard.time, versions[1])
    half = Fraction(600_000, 1_000_000 * 480 * 2)  # half a tick of the slowest tempo
    for before, after in zip(versions[0].parts, moved.parts, strict=True):
        assert (after.name, after.channel, after.program) == (before.name, before.channel, before.program)
        assert [message for _, message in after.events] == [message for _, message in before.events]
        for (was, _), (now, _) in zip(before.events, after.events, strict=True):
            assert abs(versions[0].line.seconds(was) - arrangement.seconds(now)) <= half
    assert len(moved.parts[1].notes) == len(NOTES)


def test_a_take_in_other_ticks_is_not_moved(tmp_path: Path) -> None:
    def written(division: int, name: str) -> Path:
        head = [(0, meta_event(0x51, (500_000).to_bytes(3))), (4 * division, meta_event(0x51, (431_655).to_bytes(3)))]
        part = [(0, b"\x90\x3c\x50"), (division // 4, b"\x80\x3c\x00"), (6 * division, b"\x90\x3c\x50")]
        end = [(8 * division, b"\x80\x3c\x00"), (8 * division, meta_event(END_OF_TRACK))]
        path = tmp_path / name
        path.write_bytes(file_of(1, division, [chunk_of([*head, end[1]]), chunk_of([*part, *end])]))
        return path

    versions = [version_of(written(division, f"{division}.mid"), str(division)) for division in (480, 960)]
    arrangement = arranged("Film", versions, 0, markers=(), duration=8.0, counting=counting_of((25, 1)))
    assert not arrangement.versions[1].is_moved
    assert arrangement.versions[1].parts == versions[0].parts


def test_what_was_edited_elsewhere_stays_event_by_event(tmp_path: Path) -> None:
    """Off the grid, several channels in a track, controllers, a bend, a sysex, a note that never ends, no name."""
    end = meta_event(END_OF_TRACK)
    mixed = [
        (0, b"\xb0\x07\x64"),
        (1, b"\x91\x3c\x50"),
        (5, b"\xf0\x03\x01\x02\xf7"),
        (7, b"\x90\x40\x40"),
        (9, b"\xe0\x00\x50"),
        (11, b"\x91\x3c\x00"),
        (13, b"\x90\x40\x00"),
        (15, b"\x90\x43\x30"),
        (40, end),
    ]
    named = [
        (0, meta_event(3, "Géige".encode())),
        (2, b"\xc5\x28"),
        (3, b"\x95\x37\x01"),
        (4, b"\x85\x37\x00"),
        (50, end),
    ]
    again = [(0, meta_event(3, "Géige".encode())), (3, b"\x95\x39\x01"), (4, b"\x85\x39\x00"), (8, end)]
    head = [(0, meta_event(0x58, bytes((7, 3, 24, 8)))), (10, meta_event(0x51, (400_000).to_bytes(3))), (10, end)]
    path = tmp_path / "edited.mid"
    path.write_bytes(file_of(1, 96, [chunk_of(events) for events in (head, mixed, named, again)]))
    version = version_of(path, "take 2")
    assert version.division == 96
    assert version.tempos == ((0, 500_000), (10, 400_000))
    assert version.metres == ((0, 7, 8),)
    assert [(part.name, part.channel, part.program) for part in version.parts] == [
        ("1", 0, 0),
        ("2", 1, 0),
        ("Géige", 5, 40),
        ("Géige (2)", 5, 0),
    ]
    first = version.parts[0]
    assert [tick for tick, _ in first.events] == [0, 5, 7, 9, 13, 15, 40]
    assert first.events[-1] == (40, b"\x80\x43\x40")
    assert first.notes == (Sounding(7, 13, 0, 0x40, 0x40), Sounding(15, 40, 0, 0x43, 0x30))
    assert version.parts[1].notes == (Sounding(1, 11, 1, 0x3C, 0x50),)
    assert version.length == 50


def test_more_parts_than_a_session_has_are_refused(tmp_path: Path) -> None:
    notes = [event for channel in range(16) for event in played(0, 9, channel=channel)]
    (tmp_path / "a.mid").write_bytes(midi(*[chunk(notes)] * 256))
    assert len(version_of(tmp_path / "a.mid", "").parts) == 4096
    (tmp_path / "a.mid").write_bytes(midi(*[chunk(notes)] * 256, chunk(notes[:2])))
    with pytest.raises(MidiError, match="more than 4,096 parts"):
        version_of(tmp_path / "a.mid", "")


def test_names_are_apart_though_one_has_the_others_number(tmp_path: Path) -> None:
    names = ["Piano", "Piano", "Piano (2)", "Piano", ""]
    (tmp_path / "a.mid").write_bytes(midi(*(chunk([(0, meta(3, name.encode())), *played(0, 9)]) for name in names)))
    found = [part.name for part in version_of(tmp_path / "a.mid", "").parts]
    assert found == ["Piano", "Piano (2)", "Piano (2) (2)", "Piano (3)", "Track 5"]


def test_an_early_exclusive_makes_no_part(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(midi(chunk([(0, b"\xf0\x05\x7e\x7f\x09\x01\xf7"), *played(9, 99, channel=9)])))
    (part,) = version_of(tmp_path / "a.mid", "").parts
    assert (part.channel, len(part.events)) == (9, 3)
