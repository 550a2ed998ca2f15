"""Against the original's own output on four clips, and on every kind of file that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.errors import VideoError
from cmt_bridge.video.analysis import analyze, flow_per_bar
from cmt_bridge.video.measurement import measure

pytestmark = pytest.mark.shared

CLIPS = ["intel_car_30s.mp4", "montage_hardcuts_24s.mp4", "bbb_480p_30s.mp4"]
STRONG = 0.228903  # weight of the original's second class of strength


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_the_measures_agree_with_the_original(shared: Path, name: str) -> None:
    measurement = measure(shared / "videos" / name)
    reference = np.load(shared / "reference" / "video" / f"{Path(name).stem}.npz")
    metadata = analyze(measurement)

    tempo = float(reference["tempo"])
    assert min(abs(metadata.tempo / (times * tempo) - 1.0) for times in (0.5, 1.0, 2.0)) < 0.04

    flow = reference["flow_per_frame"].astype(np.float64)
    seconds = np.arange(len(flow) + 1) * measurement.source.frame_rate[1] / measurement.source.frame_rate[0]
    edges = np.append(np.arange(0.0, seconds[-1], 240.0 / tempo), seconds[-1])
    path = np.interp(edges, seconds, np.concatenate([[0.0], np.cumsum(flow)]))
    theirs = np.diff(path) / np.diff(edges) * seconds[1]
    ours = np.array(flow_per_bar(measurement, tempo))[: len(theirs)]
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert np.median(np.abs(ours - theirs) / theirs) < 0.05

    weights = reference["sequence_weight"]
    found = np.array([beat.seconds for beat in metadata.beats])
    near = np.array([np.abs(found - start).min() <= 0.08 + 1e-6 for start in reference["sequence_start"]])
    assert near[weights >= STRONG].mean() > 0.7
    assert near[weights >= np.median(weights)].mean() > 0.7
    assert len(found) < 2 * len(weights)

    if name.startswith("montage"):
        cuts = np.array([cut.seconds for cut in metadata.cuts])
        assert all(np.abs(cuts - cut).min() < 0.04 for cut in (4, 7, 10, 13, 16, 20))
        assert len(cuts) <= 10


@pytest.mark.parametrize(
    ("name", "size", "rotation", "rate", "seconds"),
    [
        ("androidx_portrait_av1_10bit.mp4", (720, 1280), 0, (30000, 1001), 4.24),
        ("androidx_rot270.mp4", (720, 1280), 270, (30000, 1001), 4.97),
        ("blupi_win129.mkv", (320, 240), 0, (1506, 125), 13.0),
        ("friday.gif", (320, 240), 0, (10, 1), 3.0),
        ("openshot_run_mpeg2.ts", (720, 400), 0, (30000, 1001), 5.0),
        ("exo_desks_vfr.3gp", (384, 288), 0, None, 5.0),
        ("bad/tiny_1x1_5s.mp4", (1, 1), 0, (1, 1), 5.0),
        ("bad/odd_size_333x187_444.mp4", (333, 187), 0, (30000, 1001), 2.0),
        ("bad/huge_8192x4608_5frames.mp4", (8192, 4608), 0, (30000, 1001), 0.17),
        ("bad/all_black_10s.mp4", (320, 240), 0, (30, 1), 10.0),
        ("bad/no_duration.webm", (1280, 720), 0, (15000, 1001), 4.9),
    ],
)
def test_every_kind_of_file_is_measured(
    shared: Path, name: str, size: tuple[int, int], rotation: int, rate: tuple[int, int] | None, seconds: float
) -> None:
    metadata = analyze(measure(shared / "videos" / name))
    source = metadata.source
    assert (source.width, source.height, source.rotation) == (*size, rotation)
    assert rate is None or source.frame_rate == rate
    assert metadata.duration == pytest.approx(seconds, abs=0.15)
    assert 60 <= metadata.tempo <= 160
    assert np.isfinite(metadata.flow_per_bar).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zero_length.mp4", "is empty"),
        ("text.mp4", "is not a video"),
        ("random_bytes.mp4", "is not a video"),
        ("corrupt_header.mp4", "is not a video"),
        ("truncated_no_moov.mp4", "is not a video"),
        ("audio_only.mp4", "only sound"),
        ("jpeg_renamed.mp4", "single picture"),
        ("one_frame.mp4", "single picture"),
    ],
)
def test_bad_files_are_refused_in_a_sentence(
    shared: Path, name: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(VideoError, match=message):
        measure(shared / "videos" / "bad" / name)
    assert capfd.readouterr() == ("", "")
