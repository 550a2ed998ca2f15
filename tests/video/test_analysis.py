from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.core.metadata import VideoMetadata, VideoSource, VisualBeat
from cmt_bridge.core.options import AnalysisOptions
from cmt_bridge.errors import UsageError
from cmt_bridge.video.analysis import analyze, flow_per_bar
from cmt_bridge.video.beats import sequence
from cmt_bridge.video.flow import DIRECTIONS
from cmt_bridge.video.measurement import Measurement, measure
from cmt_bridge.video.tempo import estimate_tempo
from tests.clips import noise, panning, pulsing, shots, write_clip


def made(
    pts: list[int], speed: list[float], base: Fraction = Fraction(1, 10), length: int | None = None
) -> Measurement:
    n = len(pts)
    directogram = np.repeat(np.array(speed, np.float32)[:, None], DIRECTIONS, axis=1)
    return Measurement(
        source=VideoSource("made.mp4", "0" * 64, 160, 96, 0, (10, 1), n),
        time_base=base,
        length=length if length is not None else pts[-1] + 1,
        pts=np.array(pts, np.int64),
        speed=np.array(speed, np.float32),
        directogram=directogram,
        residual=np.zeros(n, np.float32),
        sights=np.zeros((n, 18, 32), np.uint8),
        preview_pts=np.zeros(1, np.int64),
        previews=np.zeros((1, 72, 128, 3), np.uint8),
    )


@pytest.mark.parametrize("bpm", [90, 128])
def test_tempo_is_found_finer_than_a_frame(tmp_path: Path, bpm: float) -> None:
    metadata = analyze(measure(write_clip(tmp_path / "pulse.mp4", pulsing(8, 25, bpm), 25)))
    assert metadata.tempo_source == "estimated"
    assert metadata.tempo == pytest.approx(bpm, rel=0.01)
    stops = np.arange(1, int(8 * bpm / 60)) * 60 / bpm
    found = np.array([beat.seconds for beat in metadata.beats if beat.weight > 0.2])
    assert np.mean([np.abs(found - stop).min() <= 0.08 for stop in stops]) > 0.9
    assert len(found) <= len(stops) + 3


def test_the_tempo_range_chooses_between_halves_and_doubles() -> None:
    step = 0.04
    curve = np.zeros(1000)
    curve[::15] = 1.0  # 100 BPM
    assert estimate_tempo(curve, step, 60, 160) == pytest.approx(100, rel=0.01)
    assert estimate_tempo(curve, step, 40, 60) == pytest.approx(50, rel=0.01)


def test_a_still_video_gets_a_default_tempo_and_no_beats(tmp_path: Path) -> None:
    black = np.zeros((96, 160, 3), np.uint8)
    metadata = analyze(measure(write_clip(tmp_path / "black.mp4", [black] * 50)))
    assert (metadata.tempo, metadata.tempo_source) == (120.0, "default")
    assert metadata.beats == ()
    assert metadata.cuts == ()
    assert metadata.flow_per_bar == (0.0,)


def test_a_default_tempo_stays_in_the_range() -> None:
    still = made(list(range(100)), [0.0] * 100)
    assert analyze(still, AnalysisOptions(tempo_low=60, tempo_high=90)).tempo == pytest.approx(90, abs=1e-4)


def test_a_tempo_can_be_given() -> None:
    metadata = analyze(made(list(range(100)), [1.0] * 100), AnalysisOptions(tempo=97.5))
    assert metadata.tempo == pytest.approx(97.5, abs=1e-4)
    assert metadata.tempo_source == "given"
    assert len(metadata.flow_per_bar) == 5


def test_bars_are_cut_in_time_not_in_frames() -> None:
    speed = [0.0] + [1.0] * 25 + [3.0] * 25
    measurement = made(list(range(51)), speed, length=50)
    assert flow_per_bar(measurement, 96) == pytest.approx([1.0, 3.0])  # bars of 2.5 s
    assert flow_per_bar(measurement, 100) == pytest.approx([1.0, (0.1 * 1 + 2.3 * 3) / 2.4, 3.0])
    assert flow_per_bar(measurement, 240) == pytest.approx([1.0, 1.0, 2.0, 3.0, 3.0])  # the change is within the third


def test_a_picture_held_for_long_spreads_its_motion() -> None:
    steady = made(list(range(41)), [0.0] + [1.0] * 40, length=40)
    held = made([*range(21), 40], [0.0] + [1.0] * 20 + [20.0], length=40)
    assert flow_per_bar(held, 120) == pytest.approx(flow_per_bar(steady, 120))


def test_cuts_are_found_on_their_frame(tmp_path: Path) -> None:
    measurement = measure(write_clip(tmp_path / "shots.mp4", shots([14, 18, 10, 13]), 25))
    metadata = analyze(measurement)
    assert [cut.seconds for cut in metadata.cuts] == pytest.approx([14 / 25, 32 / 25, 42 / 25])
    assert all(0.5 < cut.score <= 1.0 for cut in metadata.cuts)


def test_a_pan_holds_no_cut(tmp_path: Path) -> None:
    measurement = measure(write_clip(tmp_path / "pan.mp4", panning(1, 25, 75), 25))
    assert analyze(measurement, AnalysisOptions(cut_sensitivity=0.8)).cuts == ()


def test_more_sensitivity_finds_more_cuts(tmp_path: Path) -> None:
    faint = [(noise(1 + (k >= 20)) // 16 + 100).astype(np.uint8) for k in range(40)]
    measurement = measure(write_clip(tmp_path / "faint.mp4", faint + shots([20]), 25))
    counts = [len(analyze(measurement, AnalysisOptions(cut_sensitivity=s / 10)).cuts) for s in range(11)]
    assert counts == sorted(counts)
    assert counts[0] == 0 or counts[0] < counts[-1]
    assert counts[5] == 1
    assert counts[8] >= 2


def test_only_weak_visual_beats_must_fit_the_rhythm() -> None:
    def chosen(seconds: float, weight: float) -> bool:
        beats = [VisualBeat(k * 0.5, 0.8) for k in range(8)]
        odd = VisualBeat(seconds, weight)
        return odd in sequence(tuple(sorted([*beats, odd])), 120)

    assert chosen(1.75, 0.02)  # half a beat
    assert not chosen(1.62, 0.02)
    assert chosen(1.62, 0.5)


def test_metadata_comes_back_from_its_json(tmp_path: Path) -> None:
    metadata = analyze(measure(write_clip(tmp_path / "pulse.mp4", pulsing(6, 10, 100), 10)))
    assert metadata.beats
    assert VideoMetadata.from_json(metadata.to_json()) == metadata


@pytest.mark.parametrize(
    "given",
    [
        {"tempo": 0.0},
        {"tempo": float("nan")},
        {"tempo": 1000.0},
        {"tempo_low": 120.0, "tempo_high": 90.0},
        {"tempo_low": 100.0, "tempo_high": 101.0},
        {"tempo_low": float("nan")},
        {"cut_sensitivity": 1.01},
        {"cut_sensitivity": float("nan")},
    ],
)
def test_options_that_cannot_be_used_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(UsageError) as caught:
        AnalysisOptions(**given)
    assert caught.value.hint


def test_hits_of_a_sparse_film_are_where_its_pictures_come(tmp_path: Path) -> None:
    slides = write_clip(tmp_path / "slides.mp4", [noise(k) for k in range(6)], times=lambda k: Fraction(2 * k))
    strong = [beat.seconds for beat in analyze(measure(slides)).beats if beat.weight > 0.3]
    assert strong == pytest.approx([2, 4, 6, 8, 10][: len(strong)])
    assert len(strong) >= 4


def test_hits_of_a_slow_film_are_not_a_frame_late() -> None:
    speed = [0.0] + [2.0] * 20 + [0.0] * 20 + [2.0] * 20 + [0.0] * 20
    beats = analyze(made(list(range(81)), speed), AnalysisOptions(tempo=120)).beats
    strong = [beat.seconds for beat in beats if beat.weight > 0.5]
    assert strong == pytest.approx([2.0, 6.0], abs=0.051)


def test_steps_that_are_all_different_have_a_usual_one() -> None:
    assert 1 / 30 <= made([0, 1, 500_000], [0.0, 1.0, 1.0]).nominal <= 0.1
