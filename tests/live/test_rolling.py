"""Music that grows bar by bar: what is handed out, what stays, and what it becomes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmt_bridge.composition.codec import Grid, GridNotes, grid_of
from cmt_bridge.composition.realize import realize
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Provenance, Score
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap
from cmt_bridge.live.rolling import KEPT, Plan, Rolling
from cmt_bridge.model.decoding import Decoding, compose
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.paper_engine import PaperEngine

DENSITY = (6, 9, 4, 7, 11, 5, 8, 6, 3, 10)
CONTROL = ControlTrack(TempoMap.constant(120), DENSITY, (ControlBeat(50, 3), ControlBeat(70, 2)), 10 * TICKS_PER_BAR)
OPTIONS = ComposeOptions(seed=3, density_control=(1.0,), beat_control=(1.0,))
WHOLE = Plan(CONTROL, CONTROL.bars, whole=True)

Bars = dict[int, GridNotes]


def grown(rolling: Rolling, bars: Bars | None = None) -> Bars:
    """Give all bars as they were handed out last, to the end or until there is to be waited."""
    found = {} if bars is None else bars
    for given in rolling.grow():
        if not given:
            break
        found.update(given)
    return found


def onsets(notes: GridNotes) -> int:
    """Count the ticks that have notes."""
    return len(np.unique(notes[:, Grid.ONSET]))


def struck(bars: Bars, first: int, last: int) -> list[list[list[int]]]:
    """Give onset, instrument and pitch of the notes of some bars: what cannot be taken back once it was heard."""
    columns = [Grid.ONSET, Grid.INSTRUMENT, Grid.PITCH]
    return [bars[bar][:, columns].tolist() for bar in range(first, last)]


def together(bars: Bars) -> list[list[int]]:
    notes: list[list[int]] = np.concatenate([bars[bar] for bar in sorted(bars)]).tolist()
    return sorted(notes)


def notes_of(score: Score) -> list[list[int]]:
    notes: list[list[int]] = grid_of(score.tracks).tolist()
    return sorted(notes)


def test_a_fully_known_stream_equals_score(engine: PaperEngine | EventEngine) -> None:
    rolling = Rolling(engine, WHOLE, OPTIONS)
    bars = grown(rolling)
    (rows,) = compose(Decoding(engine, CONTROL, OPTIONS))
    expected = realize(rows, CONTROL, OPTIONS, title="clip")
    score = rolling.score("clip", Provenance())
    assert rolling.is_plain
    assert score.tracks == expected.tracks
    assert together(bars) == notes_of(score)


def test_a_bar_is_there_before_the_next_is_composed(engine: PaperEngine | EventEngine) -> None:
    steps = 0

    def pulse() -> None:
        nonlocal steps
        steps += 1

    rolling = Rolling(engine, WHOLE, OPTIONS, pulse=pulse)
    given = rolling.grow()
    assert set(next(given)) == {0}
    early = steps
    grown(rolling)
    assert early < steps / 3


def test_music_goes_on_as_the_picture_becomes_known(engine: PaperEngine | EventEngine) -> None:
    unknown = replace(CONTROL, density=(*DENSITY[:3], *(DENSITY[2],) * 7), beats=())
    rolling = Rolling(engine, Plan(unknown, 3, whole=False), OPTIONS)
    assert rolling.length is None
    bars = grown(rolling)
    assert sorted(bars) == [0, 1, 2]
    heard = struck(bars, 0, 3)
    rolling.plan = WHOLE
    grown(rolling, bars)
    assert rolling.is_complete
    assert not rolling.is_plain
    assert struck(bars, 0, 3) == heard
    assert [onsets(bars[bar]) for bar in range(9)] == list(DENSITY[:9])
    assert set((bars[9][:, Grid.ONSET] + bars[9][:, Grid.DURATION]).tolist()) == {CONTROL.n_beat}
    assert together(bars) == notes_of(rolling.score("clip", Provenance()))


def test_a_shorter_picture_drops_bars_and_gets_an_ending(engine: PaperEngine | EventEngine) -> None:
    rolling = Rolling(engine, Plan(CONTROL, 8, whole=False), OPTIONS)
    bars = grown(rolling)
    assert sorted(bars) == list(range(8))
    short = replace(CONTROL, density=DENSITY[:6], beats=(), n_beat=6 * TICKS_PER_BAR)
    rolling.plan = Plan(short, 6, whole=True)
    for given in rolling.grow():
        bars.update(given)
    assert [len(bars[bar]) for bar in (6, 7)] == [0, 0]
    assert onsets(bars[5]) == 1
    assert together(bars) == notes_of(rolling.score("clip", Provenance()))


def test_a_change_composes_what_comes_anew(engine: PaperEngine | EventEngine) -> None:
    rolling = Rolling(engine, WHOLE, OPTIONS)
    bars = grown(rolling)
    before = struck(bars, 0, 10)
    rolling.density = 3
    rolling.go_back(4)
    grown(rolling, bars)
    assert struck(bars, 0, 4) == before[:4]
    assert struck(bars, 4, 10) != before[4:]
    assert [onsets(bars[bar]) for bar in range(4, 9)] == [density + 3 for density in DENSITY[4:9]]
    assert onsets(bars[9]) == 1
    assert together(bars) == notes_of(rolling.score("clip", Provenance()))


def test_a_change_midway_holds_from_the_bar_in_work(engine: PaperEngine | EventEngine) -> None:
    rolling = Rolling(engine, WHOLE, OPTIONS)
    bars: Bars = {}
    changed = 0
    for given in rolling.grow():
        bars.update(given)
        if not changed and rolling.bars == 3:
            rolling.density, changed = 2, rolling.bars
            rolling.go_back(7)
    assert [onsets(bars[bar]) for bar in range(9)] == [*DENSITY[:3], *(density + 2 for density in DENSITY[3:9])]


def test_fewer_onsets_than_visual_beats_are_not_asked_for(engine: PaperEngine | EventEngine) -> None:
    rolling = Rolling(engine, WHOLE, OPTIONS, density=-16)
    bars = grown(rolling)
    assert [onsets(bars[bar]) for bar in range(9)] == [1] * 9
    assert not rolling.is_plain


def test_another_composer_goes_on_where_one_was(engine: PaperEngine | EventEngine) -> None:
    first = Rolling(engine, WHOLE, OPTIONS)
    given = first.grow()
    bars: Bars = {}
    while first.bars < 5:
        bars.update(next(given))
    heard = struck(bars, 0, 5)
    other = Rolling(engine, WHOLE, OPTIONS)
    other.take_up(bars)
    grown(other, bars)
    assert struck(bars, 0, 5) == heard
    assert [onsets(bars[bar]) for bar in range(9)] == list(DENSITY[:9])
    assert together(bars) == notes_of(other.score("clip", Provenance()))


def test_all_that_is_taken_up_stays(engine: PaperEngine | EventEngine) -> None:
    bars = grown(Rolling(engine, WHOLE, OPTIONS))
    other = Rolling(engine, WHOLE, OPTIONS)
    other.take_up(bars)
    assert other.is_complete
    assert grown(other) == {}


@pytest.mark.parametrize("heard", [0, 40])
def test_endless_music_goes_on_where_the_picture_ends(engine: PaperEngine | EventEngine, heard: int) -> None:
    short = replace(CONTROL, density=DENSITY[:4], beats=(ControlBeat(50, 3),), n_beat=4 * TICKS_PER_BAR)
    rolling = Rolling(engine, Plan(short, 4, whole=True, endless=True), OPTIONS)
    silence = np.empty((0, len(Grid)), np.int64)
    rolling.take_up({bar: silence for bar in range(heard - 4, heard) if bar >= 0})
    rolling.limit = heard + 12
    bars = grown(rolling)
    assert [bar for bar in sorted(bars) if bar >= heard] == list(range(heard, heard + 12))
    assert [onsets(bars[bar]) for bar in range(heard, heard + 12)] == list(DENSITY[:4]) * 3
    assert rolling.length is None
    assert next(rolling.grow()) == {}
    rolling.limit = heard + 13
    assert max(grown(rolling)) == heard + 12


def test_endless_music_does_not_remember_all_of_itself(engine: PaperEngine | EventEngine) -> None:
    calm = replace(CONTROL, density=(1,), beats=(), n_beat=TICKS_PER_BAR)
    rolling = Rolling(engine, Plan(calm, 1, whole=True, endless=True), OPTIONS)
    rolling.limit = KEPT + 40
    bars = grown(rolling)
    assert len(bars) == KEPT + 40
    kept = [sum(len(notes) > 0 for notes in each) for each in (rolling._said, rolling._rung, rolling._given)]
    assert max(kept) <= KEPT + 16
