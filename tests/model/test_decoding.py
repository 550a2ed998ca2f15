from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from cmt_bridge.composition.codec import Grid, decode
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.key import key_of
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import BAR, Column, TokenRows, Type, beat_timing
from cmt_bridge.model.decoding import Decoding, Snapshot, compose, draw
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.model.paper_network import PaperNetwork, initial_tokens

FIXED_TEMPO = TempoMap.constant(120)
FOLLOW = ComposeOptions(density_control=(1.0,), beat_control=(1.0,))
FREE = ComposeOptions(density_control=(0.0,), beat_control=(0.0,))


def words_of(
    engine: PaperEngine, control: ControlTrack, options: ComposeOptions, seeds: Sequence[int] = (0,)
) -> TokenRows:
    return compose(Decoding(engine, control, options, seeds=seeds))[0]


def densities(rows: TokenRows, bars: int) -> list[int]:
    onsets = np.unique(decode(rows)[:, Grid.ONSET])
    return np.bincount(onsets // 16, minlength=bars).tolist()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [FOLLOW, FREE, ComposeOptions()])
def test_words_keep_the_grammar(engine: PaperEngine, control: ControlTrack, options: ComposeOptions, seed: int) -> None:
    rows = words_of(engine, control, options, [seed])
    assert (np.diff(rows[:, Column.POSITION]) >= 0).all()
    bars = rows[rows[:, Column.BEAT] == BAR]
    assert len(bars) == control.bars
    assert (bars[:, Column.DENSITY] - 1).tolist() == densities(rows, control.bars)
    rhythm = (rows[:, Column.TYPE] == Type.RHYTHM) & (rows[:, Column.BEAT] != BAR)
    heads = np.flatnonzero(rhythm)
    for head in heads:
        strength, instrument = rows[head, Column.STRENGTH], rows[head, Column.INSTRUMENT]
        group = rows[head + 1 : head + 1 + strength]
        assert strength >= 1
        assert (group[:, Column.TYPE] == Type.NOTE).all()
        assert (group[:, Column.INSTRUMENT] == instrument).all()
        assert len(set(group[:, Column.PITCH])) == strength
        part = PARTS[Instrument(instrument)]
        assert strength <= part.polyphony
        assert ((group[:, Column.PITCH] - 1 >= part.low) & (group[:, Column.PITCH] - 1 <= part.high)).all()
        assert (group[:, Column.DURATION] >= 2).all()
    assert (rows[:, Column.TIMING] == beat_timing(rows[:, Column.POSITION], control.n_beat)).all()
    ticks = rows[heads][:, [Column.POSITION, Column.INSTRUMENT]]
    assert len(np.unique(ticks, axis=0)) == len(ticks)


@pytest.mark.parametrize("seed", range(4))
def test_full_control_follows_the_picture(engine: PaperEngine, control: ControlTrack, seed: int) -> None:
    rows = words_of(engine, control, FOLLOW, [seed])
    wanted = control.with_ending()
    assert densities(rows, control.bars) == [max(d, len(wanted.beats_of(bar))) for bar, d in enumerate(wanted.density)]
    notes = decode(rows)
    for beat in wanted.beats:
        there = notes[notes[:, Grid.ONSET] == beat.tick]
        strengths = np.bincount(there[:, Grid.INSTRUMENT], minlength=6)
        assert strengths.max() == beat.strength


def test_no_control_ignores_the_picture(engine: PaperEngine, control: ControlTrack) -> None:
    other = replace(control, density=(16, 1, 9, 2, 16, 9), beats=(ControlBeat(5, 8),))
    assert (words_of(engine, control, FREE) == words_of(engine, other, FREE)).all()


def test_control_acts_with_chance_c_on_both(engine: PaperEngine) -> None:
    density = (11,) * 30
    beats = tuple(ControlBeat(16 * bar + 5, 7) for bar in range(29))
    control = ControlTrack(FIXED_TEMPO, density, beats, 480)
    rows = words_of(engine, control, ComposeOptions(density_control=(0.5,), beat_control=(0.5,)))
    followed = sum(d == 11 for d in densities(rows, 30)[:-1])
    notes = decode(rows)
    hits = sum(
        int(np.bincount(notes[notes[:, Grid.ONSET] == beat.tick, Grid.INSTRUMENT], minlength=6).max() == 7)
        for beat in beats
    )
    assert 8 <= followed <= 24  # of 29: half, and what chance adds
    assert 7 <= hits <= 22


def test_control_per_bar(engine: PaperEngine, control: ControlTrack) -> None:
    options = ComposeOptions(density_control=(1.0, 0.0, 1.0, 1.0, 0.0), beat_control=(0.0,))
    got = [densities(words_of(engine, control, options, [seed]), 6) for seed in range(3)]
    assert all((d[0], d[2], d[3]) == (4, 0, 7) for d in got)
    assert any(d[1] != 16 for d in got)


def test_only_chosen_instruments_play(engine: PaperEngine, control: ControlTrack) -> None:
    options = replace(FOLLOW, instruments=(Instrument.PIANO, Instrument.STRINGS))
    assert set(decode(words_of(engine, control, options))[:, Grid.INSTRUMENT]) <= {2, 5}


@pytest.mark.parametrize("instrument", list(Instrument))
def test_every_instrument_can_play_alone(engine: PaperEngine, control: ControlTrack, instrument: Instrument) -> None:
    rows = words_of(engine, control, replace(FOLLOW, instruments=(instrument,)))
    assert set(decode(rows)[:, Grid.INSTRUMENT]) == {int(instrument)}
    assert len(rows[rows[:, Column.BEAT] == BAR]) == control.bars


def test_limits_of_a_track_hold(engine: PaperEngine, control: ControlTrack) -> None:
    options = replace(
        FOLLOW,
        polyphony={**FOLLOW.polyphony, Instrument.PIANO: 2},
        pitches={**FOLLOW.pitches, Instrument.PIANO: (60, 64), Instrument.BASS: (30, 30)},
    )
    notes = decode(words_of(engine, control, options))
    piano = notes[notes[:, Grid.INSTRUMENT] == Instrument.PIANO]
    assert ((piano[:, Grid.PITCH] >= 60) & (piano[:, Grid.PITCH] <= 64)).all()
    assert max(np.unique(piano[:, Grid.ONSET], return_counts=True)[1]) <= 2
    assert set(notes[notes[:, Grid.INSTRUMENT] == Instrument.BASS, Grid.PITCH]) <= {30}


def test_the_piece_ends_on_a_tonic_chord(engine: PaperEngine, control: ControlTrack) -> None:
    notes = decode(words_of(engine, control, FOLLOW))
    last = notes[notes[:, Grid.ONSET] == control.ending * 16]
    before = notes[(notes[:, Grid.ONSET] < control.ending * 16) & (notes[:, Grid.INSTRUMENT] != Instrument.DRUMS)]
    assert notes[:, Grid.ONSET].max() == control.ending * 16
    heard = np.bincount(before[:, Grid.PITCH] % 12, weights=before[:, Grid.DURATION], minlength=12)
    tonic, minor = key_of(heard)
    pitched = last[last[:, Grid.INSTRUMENT] != Instrument.DRUMS]
    assert len(pitched) > 0
    bass = pitched[pitched[:, Grid.INSTRUMENT] == Instrument.BASS]
    assert set(bass[:, Grid.PITCH] % 12) <= {tonic}
    assert (last[:, Grid.DURATION] == 16).all()
    assert minor in (0, 1)


def test_same_seed_same_words_other_seed_other_words(engine: PaperEngine, control: ControlTrack) -> None:
    first = words_of(engine, control, FOLLOW, [5])
    assert (words_of(engine, control, FOLLOW, [5]) == first).all()
    other = words_of(engine, control, FOLLOW, [6])
    assert first.shape != other.shape or (first != other).any()


def test_candidates_of_a_batch_are_those_decoded_alone(engine: PaperEngine, control: ControlTrack) -> None:
    together = compose(Decoding(engine, control, ComposeOptions(), seeds=[3, 4, 5]))
    for seed, rows in zip([3, 4, 5], together, strict=True):
        assert (words_of(engine, control, ComposeOptions(), [seed]) == rows).all()


def test_a_snapshot_at_any_bar_line_continues_exactly(engine: PaperEngine, control: ControlTrack) -> None:
    options = ComposeOptions(seed=9)
    whole = words_of(engine, control, options, [9])
    taken: list[Snapshot] = []
    list(Decoding(engine, control, options, on_bar_line=lambda _, snapshot: taken.append(snapshot)))
    bars = np.flatnonzero(whole[:, Column.BEAT] == BAR)
    assert [snapshot.cursor.bar for snapshot in taken] == list(range(-1, control.bars - 1))
    for start, snapshot in zip(bars, taken, strict=True):
        for _ in range(2):  # a snapshot serves more than once
            rest = np.stack([word for _, word in Decoding(engine, control, options, snapshots=[snapshot])])
            assert (rest == whole[start:]).all()


def drawn(logits: np.ndarray, allowed: np.ndarray, temperature: float, nucleus: float, times: int) -> list[int]:
    rng = np.random.default_rng(0)
    return draw(np.tile(logits, (times, 1)), np.tile(allowed, (times, 1)), temperature, nucleus, [rng] * times)


def test_the_nucleus_includes_the_class_that_passes_it() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    every = np.ones(4, bool)
    assert set(drawn(logits, every, 1.0, 0.7, 300)) == {0, 1}
    assert set(drawn(logits, every, 1.0, 0.81, 300)) == {0, 1, 2}
    assert set(drawn(logits, every, 1.0, 1.0, 500)) == {0, 1, 2, 3}
    assert set(drawn(logits, every, 0.01, 1.0, 100)) == {0}
    assert set(drawn(logits, np.array([False, True, False, True]), 1.0, 0.9, 300)) == {1, 3}
    assert set(drawn(logits, np.array([False, True, False, True]), 1.0, 1.0, 300)) == {1, 3}


def test_a_draw_has_the_chances_of_the_logits() -> None:
    logits = np.log(np.array([0.6, 0.4], np.float32))
    for nucleus in (0.99, 1.0):
        share = np.mean(drawn(logits, np.ones(2, bool), 1.0, nucleus, 4000))
        assert abs(share - 0.4) < 0.03


def test_rows_are_drawn_each_with_its_own_dice() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (6, 40)).astype(np.float32)
    allowed = rng.random((6, 40)) < 0.5
    together = draw(logits, allowed, 0.9, 0.95, [np.random.default_rng(seed) for seed in range(6)])
    for row in range(6):
        one = slice(row, row + 1)
        assert draw(logits[one], allowed[one], 0.9, 0.95, [np.random.default_rng(row)]) == [together[row]]
        assert allowed[row, together[row]]


def test_where_there_is_no_choice_no_dice_are_thrown() -> None:
    only = np.array([[False, False, False, True], [True, True, True, True]])
    dice = [np.random.default_rng(0), np.random.default_rng(1)]
    assert draw(np.zeros((2, 4), np.float32), only, 1.0, 0.9, dice)[0] == 3
    assert dice[0].random() == np.random.default_rng(0).random()
    assert dice[1].random() != np.random.default_rng(1).random()


def test_a_long_piece_never_fills_the_memory(paper_engine: PaperEngine) -> None:
    """The state that speaks holds as many words as in training, and is that of its own last words."""
    engine = paper_engine
    network = PaperNetwork(replace(engine.network.config, memory=240))
    network.load_state_dict(engine.network.state_dict())
    short = PaperEngine(network)
    control = ControlTrack(FIXED_TEMPO, (6,) * 40, (), 640)
    ages: list[tuple[int, int]] = []
    taken: list[Snapshot] = []

    def look(_: int, snapshot: Snapshot) -> None:
        ages.append((snapshot.cursor.age, snapshot.cursor.younger_age))
        taken.append(snapshot)

    (rows,) = [np.stack([word for _, word in Decoding(short, control, FOLLOW, on_bar_line=look)])]
    assert len(rows) > 600
    assert max(age for age, _ in ages) <= 240
    bars = np.flatnonzero(rows[:, Column.BEAT] == BAR)
    for snapshot, bar in list(zip(taken, bars, strict=True))[12:]:
        state = engine.state()
        engine.prime(initial_tokens()[0].numpy(), state)
        for word in rows[bar - snapshot.cursor.age : bar]:
            hidden = engine.step(word[None], state)
        torch.testing.assert_close(snapshot.cache[1][:1], hidden, atol=1e-5, rtol=0)
    last = taken[-3]
    rest = np.stack([word for _, word in Decoding(short, control, FOLLOW, snapshots=[last])])
    assert (rest == rows[bars[-3] :]).all()
    together = compose(Decoding(short, control, FOLLOW, seeds=[0, 1, 2]))
    assert (together[0] == rows).all()
