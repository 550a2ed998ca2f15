import numpy as np

from cmt_bridge.composition.codec import encode
from cmt_bridge.composition.realize import realize, velocities
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.metadata import Cut, VideoMetadata, VideoSource, VisualBeat
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Note, Score
from cmt_bridge.core.tempo import TempoMap

PIANO, BASS = int(Instrument.PIANO), int(Instrument.BASS)


def control(density: tuple[int, ...], n_beat: int, beats: tuple[ControlBeat, ...] = ()) -> ControlTrack:
    return ControlTrack(TempoMap.constant(120), density, beats, n_beat)


def score_of(notes: list[tuple[int, int, int, int]], bars: int, n_beat: int) -> Score:
    grid = np.array([(*note, 80) for note in notes], np.int64)
    return realize(encode(grid, bars), control((4,) * bars, n_beat), ComposeOptions())


def notes_of(score: Score, instrument: Instrument) -> list[tuple[int, int, int]]:
    (track,) = (track for track in score.tracks if track.instrument is instrument)
    return [(note.onset, note.pitch, note.duration) for note in track.notes]


def test_the_last_chord_rings_alone_to_the_end() -> None:
    score = score_of([(14, PIANO, 60, 16), (16, PIANO, 64, 2)], bars=2, n_beat=30)
    assert notes_of(score, Instrument.PIANO) == [(14, 60, 2), (16, 64, 14)]


def test_a_chord_before_a_short_rest_rings_over_the_bar() -> None:
    score = score_of([(16, PIANO, 64, 16)], bars=3, n_beat=34)
    assert notes_of(score, Instrument.PIANO) == [(16, 64, 18)]


def test_a_bass_sounds_one_note_at_a_time() -> None:
    score = score_of([(0, BASS, 40, 8), (4, BASS, 43, 2)], bars=3, n_beat=48)
    assert notes_of(score, Instrument.BASS) == [(0, 40, 4), (4, 43, 2)]


def test_a_pitch_struck_again_is_released_first() -> None:
    score = score_of([(0, PIANO, 60, 8), (0, PIANO, 64, 8), (4, PIANO, 60, 2)], bars=3, n_beat=48)
    assert notes_of(score, Instrument.PIANO) == [(0, 60, 4), (0, 64, 8), (4, 60, 2)]


def test_velocity_follows_metre_motion_and_visual_beats() -> None:
    ticks = np.arange(64)
    notes = np.stack([ticks, ticks * 0 + PIANO, ticks * 0 + 60, ticks * 0 + 1, ticks * 0], axis=1)
    calm = velocities(notes, control((2,) * 8, 128))
    lively = velocities(notes, control((14,) * 8, 128))
    assert calm[0] > calm[8] > calm[4] > calm[2] > calm[1]
    assert (lively > calm).all()
    hit = velocities(notes, control((2,) * 8, 128, (ControlBeat(3, 9),)))
    assert hit[3] > calm[3]
    assert (np.delete(hit, 3) == np.delete(calm, 3)).all()
    rising = velocities(notes, control((0, 4, 8, 12, 16, 16), 96))[::16]
    assert (np.diff(rising) > 0).all()


def test_velocities_stay_in_range() -> None:
    notes = np.array([[0, BASS, 40, 1, 0]])
    loudest = velocities(notes, control((16, 16), 32, (ControlBeat(0, 19),)))
    assert 1 <= loudest[0] <= 127


def test_a_score_counts_as_its_film_does() -> None:
    source = VideoSource("a", "", 1, 1, 0, (1964, 100), 1, offset=2.0, nominal_rate=(25, 1), timecode="10:20:30:12")
    metadata = VideoMetadata(source, 4.0, 120.0, "given", (), (), (0.1, 0.1))
    notes = encode(np.array([[0, PIANO, 60, 1, 80]]), 2)
    score = realize(notes, control((4, 4), 32), ComposeOptions(), metadata=metadata)
    assert (score.frame_rate, score.timecode) == ((25, 1), "10:20:32:12")  # of the first picture, 2 s into the file
    assert VideoMetadata.from_json(metadata.to_json()) == metadata
    assert Score.from_json(score.to_json()) == score


def test_hits_without_a_film_are_called_alike() -> None:
    beats = (ControlBeat(4, 7), ControlBeat(8, 2), ControlBeat(12, 4))
    score = realize(encode(np.array([[0, PIANO, 60, 1, 80]]), 2), control((4, 4), 32, beats), ComposeOptions())
    assert [m.text for m in score.markers if m.kind == "beat"] == ["Hit 1 · very strong", "Hit 2 · strong"]


def test_markers_name_sections_cuts_and_strong_beats() -> None:
    source = VideoSource("a", "", 1, 1, 0, (25, 1), 1)
    metadata = VideoMetadata(
        source,
        4.0,
        120.0,
        "given",
        (VisualBeat(2.5, 0.99), VisualBeat(0.5, 0.95), VisualBeat(1.0, 0.1), VisualBeat(2.0, 0.95)),
        (Cut(1.5, 0.9),),
        (0.1, 0.1),
    )
    score = realize(
        encode(np.array([[0, PIANO, 60, 1, 80]]), 2), control((4, 4), 32), ComposeOptions(), metadata=metadata
    )
    assert [(m.seconds, m.text) for m in score.markers if m.kind != "section"] == [
        (0.5, "Hit 1 · strong"),
        (1.5, "Cut 1"),
        (2.0, "Hit 2 · strong"),
        (2.5, "Hit 3 · very strong"),
    ]
    assert [m.seconds for m in score.markers if m.kind == "section"] == [0.0]
    assert score.duration == 4.0
    assert (score.frame_rate, score.timecode) == ((25, 1), "")
    assert all(isinstance(note, Note) for _, note in score.notes())
