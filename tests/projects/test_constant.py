from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pretty_midi
import pytest

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.projects.constant import constant_tempo
from tests.projects.films import TEMPOS, arrangement_of

HALF_A_MILLISECOND = 0.0005


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize(
    "tempos",
    [TempoMap.constant(97), TEMPOS, TempoMap.of([(tick, 300_000 + 41_007 * tick % 900_000) for tick in range(64)])],
)
def test_at_one_tempo_everything_sounds_when_it_did(tmp_path: Path, tempos: TempoMap, edited: bool) -> None:
    arrangement = arrangement_of(tmp_path, tempos=tempos, edited=edited)
    bpm, data = constant_tempo(arrangement)
    path = tmp_path / "constant.mid"
    path.write_bytes(data)
    heard = pretty_midi.PrettyMIDI(str(path))
    times, found = heard.get_tempo_changes()
    assert list(times) == [0]
    assert found[0] == pytest.approx(bpm, abs=1e-3)
    parts = arrangement.version.parts
    assert [each.name.encode("latin-1").decode() for each in heard.instruments] == [part.name for part in parts]
    for instrument, part in zip(heard.instruments, parts, strict=True):
        notes = sorted((n.start, n.end, n.pitch, n.velocity) for n in instrument.notes)
        wanted = sorted(
            (float(arrangement.seconds(n.start)), float(arrangement.seconds(n.end)), n.pitch, n.velocity)
            for n in part.notes
        )
        assert len(notes) == len(wanted)
        for one, other in zip(notes, wanted, strict=True):
            assert one == pytest.approx(other, abs=HALF_A_MILLISECOND)
    assert heard.get_end_time() <= float(arrangement.seconds(arrangement.end)) + HALF_A_MILLISECOND


def test_where_the_tempo_is_constant_every_tick_stays(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, tempos=TempoMap.constant(97))
    bpm, data = constant_tempo(arrangement)
    assert data[12:14] == (480).to_bytes(2)
    assert bpm == pytest.approx(97, abs=1e-3)
    path = tmp_path / "constant.mid"
    path.write_bytes(data)
    from cmt_bridge.projects.arrangement import version_of

    assert version_of(path, arrangement.version.name).parts == arrangement.version.parts


def test_a_tempo_that_is_said_again_is_no_change(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, tempos=TempoMap.constant(97))
    version = arrangement.version
    again = replace(version, tempos=(*version.tempos, (1920, version.tempos[0][1])))
    said_again = replace(arrangement, versions=(again,), current=0)
    assert constant_tempo(said_again) == constant_tempo(arrangement)


def test_music_in_fine_ticks_is_moved_too(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path)
    version = arrangement.version
    finer = 15_360 // version.division
    fine = replace(
        version,
        division=15_360,
        tempos=tuple((tick * finer, uspq) for tick, uspq in version.tempos),
        length=version.length * finer,
        parts=tuple(
            replace(part, events=tuple((tick * finer, message) for tick, message in part.events))
            for part in version.parts
        ),
    )
    assert constant_tempo(replace(arrangement, versions=(fine,), current=0)) == constant_tempo(arrangement)


def test_every_event_comes_along(tmp_path: Path) -> None:
    arrangement = arrangement_of(tmp_path, edited=True)
    path = tmp_path / "constant.mid"
    path.write_bytes(constant_tempo(arrangement)[1])
    from cmt_bridge.projects.arrangement import version_of

    (part,), (before,) = version_of(path, "").parts, arrangement.version.parts
    assert [message for _, message in part.events] == [message for _, message in before.events]
