import json

import pytest

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.metadata import Cut, VideoMetadata, VideoSource, VisualBeat
from cmt_bridge.core.options import AnalysisOptions, ComposeOptions
from cmt_bridge.core.score import Marker, Note, Provenance, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import Column, beat_timing
from cmt_bridge.errors import ScoreError, UsageError

METADATA = VideoMetadata(
    source=VideoSource("clip.mp4", "ab", 640, 360, 90, (24000, 1001), 48),
    duration=2.002,
    tempo=120.0,
    tempo_source="estimated",
    beats=(VisualBeat(0.5, 0.25), VisualBeat(1.0, 1.0)),
    cuts=(Cut(1.5, 0.9),),
    flow_per_bar=(0.5, 0.25),
)
SCORE = Score(
    tempo_map=TempoMap.of([(0, 500_000), (16, 400_000)]),
    tracks=(Track(Instrument.PIANO, 0, (Note(4, 60, 2, 70), Note(0, 64, 4, 80))),),
    bars=2,
    duration=3.5,
    frame_rate=(30000, 1001),
    title="clip",
    markers=(Marker(1.5, "cut", "Cut 1"),),
    provenance=Provenance(version="1", model="m", seed=3, options={"a": [1]}),
)


def test_metadata_returns_from_json() -> None:
    assert VideoMetadata.from_json(json.loads(json.dumps(METADATA.to_json()))) == METADATA


def test_metadata_counts_bars_and_ticks_from_zero() -> None:
    assert METADATA.to_json()["vbeats"][1] == {"start_time": 1.0, "bar": 0, "tick": 8, "weight": 1.0}


def test_metadata_of_the_original_is_read() -> None:
    original = {key: METADATA.to_json()[key] for key in ("duration", "tempo", "vbeats", "flow_magnitude_per_bar")}
    read = VideoMetadata.from_json(original)
    assert (read.duration, read.tempo, read.beats, read.cuts) == (2.002, 120.0, METADATA.beats, ())


@pytest.mark.parametrize(
    "damage",
    [[], {}, {"duration": "x"}, {"tempo": None}, {"vbeats": [{}]}, {"version": 99}, {"flow_magnitude_per_bar": 3}],
)
def test_damaged_metadata_is_refused(damage: object) -> None:
    data = {**METADATA.to_json(), **damage} if isinstance(damage, dict) and damage else damage
    with pytest.raises(ScoreError):
        VideoMetadata.from_json(data)


def test_a_score_returns_from_json_with_sorted_notes() -> None:
    assert Score.from_json(json.loads(json.dumps(SCORE.to_json()))) == SCORE
    assert [note.onset for note in SCORE.tracks[0].notes] == [0, 4]


@pytest.mark.parametrize("damage", [{"format": "x"}, {"format_version": 2}, {"tracks": [{}]}, {"tempo_map": []}])
def test_damaged_scores_are_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ScoreError):
        Score.from_json({**SCORE.to_json(), **damage})


def test_drums_are_on_channel_ten() -> None:
    assert PARTS[Instrument.DRUMS].channel == 9
    assert len({part.channel for part in PARTS.values()}) == 5


def test_timing_is_rounded_per_cent_plus_one() -> None:
    assert beat_timing([0, 1, 50, 99, 100, 130], 100).tolist() == [1, 2, 51, 100, 101, 101]


@pytest.mark.parametrize(
    ("n_beat", "bars", "ending"),
    [(64, 4, 3), (56, 4, 3), (55, 4, 2), (18, 2, 1), (1, 1, 0)],
)
def test_the_last_chord_begins_half_a_bar_early(n_beat: int, bars: int, ending: int) -> None:
    control = ControlTrack(TempoMap.constant(120), (8,) * bars, (ControlBeat(0, 2), ControlBeat(63, 3)), n_beat)
    assert control.ending == ending
    ended = control.with_ending()
    assert ended.density == (*(8,) * ending, 1, *(0,) * (bars - ending - 1))
    assert all(beat.tick <= ending * 16 for beat in ended.beats)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"density_control": (1.1,)},
        {"density_control": ()},
        {"beat_control": (float("nan"),)},
        {"instruments": ()},
        {"temperature": {Column.PITCH: 0.0}},
        {"nucleus": {Column.PITCH: 1.5}},
        {"polyphony": {Instrument.PIANO: 0}},
        {"pitches": {Instrument.PIANO: (60, 50)}},
    ],
)
def test_options_that_cannot_be_used_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ComposeOptions(**wrong)  # type: ignore[arg-type]


def test_control_per_bar_holds_its_last_value() -> None:
    options = ComposeOptions(density_control=(1.0, 0.5))
    assert [options.density_control_of(bar) for bar in range(4)] == [1.0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "wrong",
    [{"tempo": 0.0}, {"tempo": float("nan")}, {"tempo_low": 100.0, "tempo_high": 90.0}, {"cut_sensitivity": 2.0}],
)
def test_analysis_options_that_cannot_be_used_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        AnalysisOptions(**wrong)


def test_options_survive_their_json_form() -> None:
    options = ComposeOptions(
        style="rock",
        key="F#m",
        density_control=(0.0, 1.0),
        beat_control=(0.3,),
        recall=2.0,
        instruments=(Instrument.PIANO,),
        temperature={**ComposeOptions().temperature, Column.PITCH: 1.5},
        nucleus={Column.DURATION: 0.5},
        polyphony={**ComposeOptions().polyphony, Instrument.PIANO: 2},
        pitches={**ComposeOptions().pitches, Instrument.BASS: (30, 40)},
    )
    assert ComposeOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert ComposeOptions.from_json({}) == ComposeOptions()
    for damaged in ({"instruments": ["Kazoo"]}, {"pitches": {"Bass": [3]}}, {"recall": "much"}):
        with pytest.raises((KeyError, ValueError)):
            ComposeOptions.from_json(damaged)
