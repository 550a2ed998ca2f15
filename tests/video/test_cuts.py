"""Cuts and slower transitions, on films that are made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.options import AnalysisOptions
from cmt_bridge.video.analysis import analyze
from cmt_bridge.video.measurement import measure
from tests.clips import Picture, moved, noise, write_clip

RATE = 25


def looked_at(path: Path, frames: Iterable[Picture], times: Callable[[int], Fraction] | None = None) -> VideoMetadata:
    return analyze(measure(write_clip(path, frames, RATE, times=times)))


def cuts(metadata: VideoMetadata) -> list[float]:
    return [cut.seconds for cut in metadata.cuts]


def mixed(first: Picture, second: Picture, share: float) -> Picture:
    return ((1 - share) * first + share * second).astype(np.uint8)


def scene(seed: int) -> Picture:
    """Give a picture with large and small things in it, and light that differs from place to place."""
    coarse = noise(seed, grain=32).astype(np.float64)
    return (0.6 * coarse + 0.4 * noise(100 + seed, grain=8)).astype(np.uint8)


@pytest.mark.parametrize("held", [25, 125])
def test_slides_are_cut_however_often_each_is_stored(tmp_path: Path, held: int) -> None:
    """Neighbourhoods are seconds: a picture that is held is the same as one that is repeated."""
    seconds = Fraction(max(held, 15), RATE)
    slides = [scene(seed) for seed in range(6)]
    few = looked_at(tmp_path / "few.mp4", slides, lambda k: k * seconds)
    many = looked_at(
        tmp_path / "many.mp4",
        [slide for slide in slides for _ in range(3)],
        lambda k: k // 3 * seconds + k % 3 * seconds / 3,
    )
    assert cuts(few) == pytest.approx([float(k * seconds) for k in range(1, 6)])
    assert cuts(many) == pytest.approx(cuts(few))


def test_a_sparse_recording_is_cut_where_its_picture_changes(tmp_path: Path) -> None:
    times = [*(Fraction(k, 25) for k in range(20)), Fraction(5), Fraction(10)]
    frames = [*(moved(scene(1), k) for k in range(20)), scene(2), scene(3)]
    assert cuts(looked_at(tmp_path / "sparse.mp4", frames, lambda k: times[k])) == pytest.approx([5.0, 10.0])


@pytest.mark.parametrize("length", [1, 3, 6])
@pytest.mark.parametrize("colour", [255, 0, None])
def test_a_flash_is_no_cut(tmp_path: Path, length: int, colour: int | None) -> None:
    def lit(k: int) -> Picture:
        picture = moved(scene(1), 0.5 * k)
        if not 20 <= k < 20 + length:
            return picture
        return (
            np.clip(picture.astype(int) + 110, 0, 255).astype(np.uint8)
            if colour is None
            else np.full_like(picture, colour)
        )

    assert cuts(looked_at(tmp_path / "flash.mp4", map(lit, range(50)))) == []


def test_a_short_shot_is_no_flash(tmp_path: Path) -> None:
    frames = [moved(scene(seed), k) for seed, length in ((1, 20), (2, 9), (3, 20)) for k in range(length)]
    assert cuts(looked_at(tmp_path / "short.mp4", frames)) == pytest.approx([20 / RATE, 29 / RATE])


@pytest.mark.parametrize("way", [1, -1])
def test_a_whip_pan_is_no_cut(tmp_path: Path, way: int) -> None:
    size = (160, 96)
    wide = noise(5, (960, size[1]), 24)
    at = [*[0] * 20, *range(0, 800, 60), *[800] * 20]
    frames = [wide[:, x : x + size[0]] for x in (at if way > 0 else at[::-1])]
    assert cuts(looked_at(tmp_path / "whip.mp4", frames)) == []


def test_a_light_that_is_switched_on_is_no_cut(tmp_path: Path) -> None:
    frames = [(scene(1) // (3 if k < 25 else 1)) for k in range(50)]
    assert cuts(looked_at(tmp_path / "light.mp4", frames)) == []


def test_a_cut_from_black_is_one(tmp_path: Path) -> None:
    frames = [np.zeros_like(scene(1)) if k < 25 else scene(1) for k in range(50)]
    assert cuts(looked_at(tmp_path / "black.mp4", frames)) == pytest.approx([1.0])


@pytest.mark.parametrize("seconds", [0.4, 1.0, 2.0])
def test_a_dissolve_has_a_begin_and_an_end(tmp_path: Path, seconds: float) -> None:
    steps = round(seconds * RATE)
    frames = [scene(1)] * 30 + [mixed(scene(1), scene(2), k / steps) for k in range(steps)] + [scene(2)] * 30
    metadata = looked_at(tmp_path / "dissolve.mp4", frames)
    assert cuts(metadata) == []
    (found,) = metadata.transitions
    assert found.kind == "dissolve"
    assert (found.begin, found.end) == pytest.approx((1.2, 1.2 + seconds), abs=0.1)


@pytest.mark.parametrize(("colour", "name"), [(0, "black"), (255, "white")])
def test_fades_have_a_kind(tmp_path: Path, colour: int, name: str) -> None:
    empty = np.full_like(scene(1), colour)
    out = [mixed(scene(1), empty, k / 20) for k in range(20)]
    into = [mixed(empty, scene(2), k / 20) for k in range(20)]
    metadata = looked_at(tmp_path / "through.mp4", [scene(1)] * 30 + out + [empty] * 5 + into + [scene(2)] * 30)
    assert cuts(metadata) == []
    (found,) = metadata.transitions
    assert found.kind == f"fade through {name}"
    assert (found.begin, found.end) == pytest.approx((1.2, 3.0), abs=0.1)
    metadata = looked_at(
        tmp_path / "ends.mp4",
        [empty] * 5 + into + [scene(2)] * 30 + [mixed(scene(2), empty, k / 20) for k in range(21)],
    )
    assert [each.kind for each in metadata.transitions] == [f"fade from {name}", f"fade to {name}"]
    assert metadata.transitions[0].begin == pytest.approx(0.2, abs=0.1)
    assert metadata.transitions[1].end == pytest.approx(3.0, abs=0.1)


def test_what_moves_is_no_dissolve(tmp_path: Path) -> None:
    for name, frames in {
        "pan": [moved(scene(1), 4 * k) for k in range(60)],
        "shots": [moved(scene(seed), 2 * k) for seed in range(4) for k in range(15)],
        "title": [
            np.where(
                np.indices((96, 160))[0][..., None] // 32 == 1,
                mixed(scene(1), np.full_like(scene(1), 255), k / 60),
                scene(1),
            )
            for k in range(60)
        ],
    }.items():
        metadata = analyze(
            measure(write_clip(tmp_path / f"{name}.mp4", [np.asarray(f, np.uint8) for f in frames], RATE))
        )
        assert metadata.transitions == (), name


def test_transitions_come_back_from_json(tmp_path: Path) -> None:
    frames = [scene(1)] * 20 + [mixed(scene(1), scene(2), k / 20) for k in range(20)] + [scene(2)] * 20
    metadata = looked_at(tmp_path / "dissolve.mp4", frames)
    data = metadata.to_json()
    assert data["transitions"][0]["kind"] == "dissolve"
    assert VideoMetadata.from_json(data) == metadata
    for key in ("transitions", "joints"):
        del data[key]
    del data["source"]["offset"]
    assert VideoMetadata.from_json(data).transitions == ()


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "wanted", "slow"),
    [
        ("slides_5s_each.mp4", [5, 10, 15, 20, 25, 30, 35], []),
        ("sparse_screen_recording.mp4", [0.067, 1.568, 7.007, 12.012], []),
        ("flashes.mp4", [], []),
        ("whip_pan.mp4", [], []),
    ],
)
def test_cases_that_were_reported(shared: Path, name: str, wanted: list[float], slow: list[str]) -> None:
    metadata = analyze(measure(shared / "cases" / "video" / name), AnalysisOptions())
    assert cuts(metadata) == pytest.approx(wanted, abs=0.002)
    assert [each.kind for each in metadata.transitions] == slow
