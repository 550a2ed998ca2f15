from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.video import cache as caching
from cmt_bridge.video.cache import measured
from tests.clips import panning, write_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", panning(1, 10, 30), 10)


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("measured again")


def test_the_same_content_is_not_measured_twice(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measured(clip)
    copy = Path(shutil.copy(clip, clip.with_name("other name.mp4")))
    monkeypatch.setattr(caching, "measure", refuse)
    again = measured(copy)
    assert again.source.name == "other name.mp4"
    assert again.source.sha256 == first.source.sha256
    assert again.time_base == first.time_base
    for name in caching.ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_other_content_under_the_same_name_is_measured(clip: Path) -> None:
    assert len(measured(clip).pts) == 10
    write_clip(clip, panning(2, 10, 30), 10)
    assert len(measured(clip).pts) == 20


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_a_damaged_entry_is_measured_anew(clip: Path, cache: Path, damage: bytes | None) -> None:
    expected = measured(clip).speed
    (entry,) = cache.glob("measurements/*.npz")
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    np.testing.assert_array_equal(measured(clip).speed, expected)
    assert entry.stat().st_size == len(whole)


def test_a_cache_that_cannot_be_written_fails_nothing(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("CMT_BRIDGE_CACHE", str(blocked))
    assert len(measured(clip).pts) == 10


def test_the_longest_unused_measurements_go_first(clip: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(clip)
    (entry,) = cache.glob("measurements/*.npz")
    monkeypatch.setattr(caching, "MOST_BYTES", int(1.5 * entry.stat().st_size))
    other = write_clip(clip.with_name("other.mp4"), panning(1, 10, 60, seed=2), 10)
    measured(other)
    (left,) = cache.glob("measurements/*.npz")
    assert left.name != entry.name
