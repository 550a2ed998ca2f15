"""Ranking music by how well it fits a video, from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import InputError
from cmt_bridge.scoring.rank import Skipped, rank
from tests.cli.test_match import write_song

CONTROL = ControlTrack(TempoMap.constant(120), (4, 4), tuple(ControlBeat(tick, 2) for tick in range(0, 32, 4)), 32)


def test_the_best_match_comes_first(tmp_path: Path) -> None:
    write_song(tmp_path / "far.mid", [0, 3, 5, 9, 11, 14, 17, 22], 1)
    write_song(tmp_path / "near.mid", list(range(0, 32, 4)), 2)
    shares: list[float] = []
    ranking = rank(CONTROL, [tmp_path], on_progress=shares.append)
    assert [each.song for each in ranking.songs] == ["near", "far"]
    assert ranking.songs[0].match.distance < ranking.songs[1].match.distance
    assert (ranking.bars, ranking.skipped, shares) == (2, (), [0.5, 1.0])


def test_what_cannot_be_compared_is_skipped(tmp_path: Path) -> None:
    write_song(tmp_path / "a.mid", list(range(0, 32, 4)), 2)
    (tmp_path / "b.mid").write_bytes(b"no MIDI")
    (tmp_path / "empty").mkdir()
    told: list[Skipped] = []
    ranking = rank(CONTROL, [str(tmp_path / "a.mid"), tmp_path / "b.mid", tmp_path / "empty"], on_skip=told.append)  # type: ignore[list-item]
    assert [each.path.name for each in ranking.skipped] == ["empty", "b.mid"]
    assert tuple(told) == ranking.skipped
    with pytest.raises(InputError, match="could be compared"):
        rank(CONTROL, [tmp_path / "b.mid"])
