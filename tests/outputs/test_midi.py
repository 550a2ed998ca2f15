from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
import symusic
from hypothesis import given, settings
from hypothesis import strategies as st

from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.score import Marker, Note, Provenance, Score, Track
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap, bpm_to_uspq
from cmt_bridge.errors import OutputError
from cmt_bridge.midi.line import read_markers
from cmt_bridge.midi.song import read_song
from cmt_bridge.outputs.midi import midi_bytes, write_midi

TEMPOS = TempoMap.of([(0, bpm_to_uspq(97.3)), (64, 611_111), (400, bpm_to_uspq(143)), (1604, 731_337)])


def make_score(bars: int = 120, tempo_map: TempoMap = TEMPOS) -> Score:
    """Give a score with a note of every instrument on every bar line."""
    notes = {i: tuple(Note(bar * TICKS_PER_BAR, 40 + i, 3, 60 + i) for bar in range(bars)) for i in Instrument}
    return Score(
        tempo_map=tempo_map,
        tracks=tuple(Track(i, PARTS[i].program, notes[i]) for i in Instrument),
        bars=bars,
        frame_rate=(30000, 1001),
        title="Été à Zürich ☀",
        markers=(Marker(9.87, "cut", "Cut 1"), Marker(0.0, "section", "A"), Marker(30.0, "beat", "Beat ♪")),
        provenance=Provenance(version="1", model="tiny", seed=7),
    )


def test_bars_begin_where_the_tempo_map_says_for_an_hour(tmp_path: Path) -> None:
    tempo_map = TempoMap.of([(0, bpm_to_uspq(97.3)), *((k * 333, 400_000 + 3_337 * k) for k in range(1, 70))])
    bars = 1700
    assert tempo_map.bar_seconds(bars) > 3600
    write_midi(make_score(bars, tempo_map), tmp_path / "long.mid")
    exact = np.array([float(tempo_map.bar_seconds(bar)) for bar in range(bars)])

    by_symusic = symusic.Score(tmp_path / "long.mid").to("second")
    by_pretty_midi = pretty_midi.PrettyMIDI(str(tmp_path / "long.mid"))
    for index in range(5):
        starts = np.array([note.start for note in by_pretty_midi.instruments[index].notes])
        assert np.abs(starts - exact).max() < 0.001
        starts = np.array([note.time for note in by_symusic.tracks[index].notes])
        assert np.abs(starts - exact).max() < 0.001
    assert np.abs(by_pretty_midi.get_downbeats()[:bars] - exact).max() < 0.001


def test_everything_comes_back_through_two_other_libraries(tmp_path: Path) -> None:
    score = make_score()
    write_midi(score, tmp_path / "a.mid")

    one = symusic.Score(tmp_path / "a.mid")
    two = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"))
    assert one.ticks_per_quarter == two.resolution == 480
    for track, ours, theirs in zip(score.tracks, one.tracks, two.instruments, strict=True):
        assert ours.name == theirs.name == track.name
        assert ours.program == theirs.program == track.program
        assert ours.is_drum == theirs.is_drum == (track.instrument is Instrument.DRUMS)
        wanted = [(n.onset * 120, n.duration * 120, n.pitch, n.velocity) for n in track.notes]
        assert [(n.time, n.duration, n.pitch, n.velocity) for n in ours.notes] == wanted
        assert [(n.pitch, n.velocity) for n in theirs.notes] == [(n.pitch, n.velocity) for n in track.notes]
    assert [(t.time, t.mspq) for t in one.tempos] == [(c.tick * 120, c.uspq) for c in score.tempo_map.changes]
    assert [(s.time, s.numerator, s.denominator) for s in one.time_signatures] == [(0, 4, 4)]
    wanted = [(round(TEMPOS.ticks(m.seconds) * 120), m.text) for m in sorted(score.markers)]
    assert [(m.time, m.text) for m in one.markers] == wanted
    seconds = [m.time for m in one.to("second").markers]
    assert seconds == pytest.approx([0.0, 9.87, 30.0], abs=0.001)


def test_the_conductor_track_carries_name_provenance_and_timecode() -> None:
    file = mido.MidiFile(file=io.BytesIO(midi_bytes(replace(make_score(), timecode="14:22:07;18"))), charset="utf-8")
    assert file.type == 1
    meta = {message.type: message for message in file.tracks[0]}
    assert meta["track_name"].name == "Été à Zürich ☀"
    assert "text" not in meta
    provenance = bytes(meta["sequencer_specific"].data)
    assert provenance.startswith(b"\x7dcmt-bridge {")
    assert b'"seed":7' in provenance
    offset = meta["smpte_offset"]
    assert (offset.frame_rate, offset.hours, offset.minutes, offset.seconds, offset.frames) == (29.97, 14, 22, 7, 18)
    assert [track[0].name for track in file.tracks[1:]] == ["Drums", "Piano", "Guitar", "Bass", "Strings"]
    assert {message.channel for message in file.tracks[1] if not message.is_meta} == {9}


def test_every_track_ends_with_the_last_bar() -> None:
    file = mido.MidiFile(file=io.BytesIO(midi_bytes(one_track(Note(0, 60, 8)))))
    assert {sum(message.time for message in track) for track in file.tracks} == {4 * 4 * 480}


def test_five_tracks_stand_even_where_nothing_plays() -> None:
    file = mido.MidiFile(file=io.BytesIO(midi_bytes(Score(TempoMap.constant(120), (), bars=2))))
    assert len(file.tracks) == 6
    assert [m.program for track in file.tracks for m in track if m.type == "program_change"] == [0, 0, 24, 33, 48]
    assert "smpte_offset" not in {message.type for message in file.tracks[0]}  # the frame rate is unknown


def test_equal_scores_give_equal_bytes() -> None:
    assert midi_bytes(make_score()) == midi_bytes(make_score())


@pytest.mark.parametrize(
    ("frame_rate", "timecode"),
    [
        ((24, 1), 24),
        ((24000, 1001), 24),
        ((25, 1), 25),
        ((25, 2), 25),
        ((50, 1), 25),
        ((30000, 1001), 29.97),
        ((60000, 1001), 29.97),
        ((30, 1), 30),
        ((60, 1), 30),
        ((10, 1), 30),
        ((2998, 100), 29.97),
        ((0, 1), None),
        ((0, 0), None),
    ],
)
def test_timecode_of_a_frame_rate(frame_rate: tuple[int, int], timecode: float | None) -> None:
    file = mido.MidiFile(file=io.BytesIO(midi_bytes(replace(make_score(), frame_rate=frame_rate))), charset="utf-8")
    assert next((m.frame_rate for m in file.tracks[0] if m.type == "smpte_offset"), None) == timecode


@pytest.mark.parametrize(
    ("frame_rate", "own", "wanted"),
    [
        ((25, 1), "10:20:30:12", (25, 10, 20, 30, 12, 0)),
        ((50, 1), "10:20:30:37", (25, 10, 20, 30, 18, 50)),
        ((60000, 1001), "01:01:00;05", (29.97, 1, 1, 0, 2, 50)),
        ((30000, 1001), "01:01:00:01", (30, 1, 1, 0, 1, 0)),
    ],
)
def test_a_file_states_the_label_of_the_first_picture(
    frame_rate: tuple[int, int], own: str, wanted: tuple[float, ...]
) -> None:
    score = replace(make_score(), frame_rate=frame_rate, timecode=own)
    (offset,) = (m for m in mido.MidiFile(file=io.BytesIO(midi_bytes(score))).tracks[0] if m.type == "smpte_offset")
    label = offset.hours, offset.minutes, offset.seconds, offset.frames, offset.sub_frames
    assert (offset.frame_rate, *label) == wanted


def one_track(*notes: Note) -> Score:
    return Score(TempoMap.constant(120), (Track(Instrument.PIANO, 0, notes),), bars=4)


def spans_of(data: bytes) -> list[tuple[int, int, int]]:
    """Give (start, end, pitch) of the piano, checking that no pitch begins twice or stays on."""
    sounding: dict[int, int] = {}
    spans = []
    now = 0
    for message in mido.MidiFile(file=io.BytesIO(data)).tracks[2]:
        now += message.time
        if message.type == "note_on":
            assert message.note not in sounding
            sounding[message.note] = now
        elif message.type == "note_off":
            spans.append((sounding.pop(message.note), now, message.note))
    assert not sounding
    return sorted(spans)


def test_a_note_ends_where_the_next_of_its_pitch_begins() -> None:
    data = midi_bytes(one_track(Note(0, 60, 8), Note(4, 60, 2), Note(4, 60, 6), Note(10, 60, 1), Note(2, 64, 4)))
    assert spans_of(data) == [(0, 480, 60), (240, 720, 64), (480, 1200, 60), (1200, 1320, 60)]


def test_a_note_of_no_length_still_sounds() -> None:
    assert spans_of(midi_bytes(one_track(Note(0, 60, 0), Note(4, 60, 1)))) == [(0, 1, 60), (480, 600, 60)]


def test_overlaps_can_be_kept(tmp_path: Path) -> None:
    write_midi(one_track(Note(0, 60, 8), Note(4, 60, 8)), tmp_path / "a.mid", keep_overlaps=True)
    assert read_song(tmp_path / "a.mid").tracks[0].notes[:, :2].tolist() == [[0, 960], [480, 1440]]


NOTES = st.builds(Note, st.integers(0, 30), st.integers(60, 62), st.integers(0, 20), st.integers(1, 127))


@settings(max_examples=60, deadline=None)
@given(st.lists(NOTES, max_size=25))
def test_no_note_hangs_and_every_onset_stays(notes: list[Note]) -> None:
    spans = spans_of(midi_bytes(one_track(*notes)))
    assert sorted({(start // 120, pitch) for start, _, pitch in spans}) == sorted({(n.onset, n.pitch) for n in notes})


def test_markers_fall_on_the_nearest_midi_tick(tmp_path: Path) -> None:
    write_midi(make_score(), tmp_path / "a.mid")
    for tick, text in read_markers(tmp_path / "a.mid"):
        marker = next(m for m in make_score().markers if m.text == text)
        assert abs(TEMPOS.seconds(Fraction(tick, 120)) - Fraction(marker.seconds)) <= TEMPOS.seconds(Fraction(1, 240))


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "a.mid"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OutputError, match=r"Cannot write .*a\.mid"):
            write_midi(make_score(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mid"]
    assert path.read_bytes() == b"old"
