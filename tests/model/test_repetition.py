from dataclasses import replace

import numpy as np
import pytest

from cmt_bridge.composition.codec import Grid, decode
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.form import PHRASE
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import Column
from cmt_bridge.errors import UsageError
from cmt_bridge.model.decoding import Decoding, compose
from cmt_bridge.model.decoding_state import DecodingState
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.model.repetition import INSTRUMENT, ONSET, PITCH, RepetitionBias

PIANO, BASS = int(Instrument.PIANO), int(Instrument.BASS)


def after_a_phrase(*, follows: bool = True) -> DecodingState:
    """Give a cursor at tick 4 of the fifth bar: bar 1 had piano on ticks 0 and 8, all others bass on tick 0."""
    cursor = DecodingState()
    for bar in range(PHRASE):
        cursor.start_bar()
        for tick, instrument, pitch in ((0, PIANO, 60), (8, PIANO, 65)) if bar == 0 else ((0, BASS, 40),):
            cursor.tick, cursor.instrument = tick, instrument
            cursor.take_note(pitch, 4)
    cursor.start_bar()
    cursor.follow_density, cursor.returns = follows, PHRASE
    cursor.tick, cursor.instrument = 4, PIANO
    return cursor


def test_onsets_lean_on_those_of_the_bars_before() -> None:
    leaning = RepetitionBias(1.0).bias(Column.BEAT, after_a_phrase())
    assert leaning is not None
    assert leaning[1] == pytest.approx(ONSET)  # tick 0, in all four bars
    assert leaning[9] == pytest.approx(ONSET / 4)
    assert leaning.sum() == pytest.approx(ONSET * 1.25)


def test_pitches_are_biased_to_the_phrase_before() -> None:
    leaning = RepetitionBias(0.5).bias(Column.PITCH, after_a_phrase())
    assert leaning is not None
    assert np.flatnonzero(leaning).tolist() == [61]
    assert leaning[61] == pytest.approx(0.5 * PITCH)
    players = RepetitionBias(1.0).bias(Column.INSTRUMENT, after_a_phrase())
    assert players is not None
    assert np.flatnonzero(players).tolist() == [PIANO]
    assert players[PIANO] == INSTRUMENT


def test_bars_that_are_free_are_not_touched() -> None:
    free = after_a_phrase(follows=False)
    assert RepetitionBias(1.0).bias(Column.BEAT, free) is None
    free.hits[4] = 2
    assert RepetitionBias(1.0).bias(Column.BEAT, free) is not None
    assert RepetitionBias(0.0).bias(Column.BEAT, after_a_phrase()) is None
    assert RepetitionBias(1.0).bias(Column.BEAT, DecodingState(follow_density=True)) is None
    assert RepetitionBias(1.0).bias(Column.DURATION, after_a_phrase()) is None


def test_drums_have_no_harmony_to_return_to() -> None:
    cursor = after_a_phrase()
    cursor.instrument = int(Instrument.DRUMS)
    assert RepetitionBias(1.0).bias(Column.PITCH, cursor) is None


def test_followed_bars_return_and_still_obey(engine: PaperEngine | EventEngine) -> None:
    """More pitches stand where they stood four bars ago, and densities are those of the picture either way."""
    control = ControlTrack(TempoMap.constant(120), (8,) * 20, (), 320)
    options = ComposeOptions(density_control=(1.0,), instruments=(Instrument.PIANO,))
    shares = []
    for recall in (0.0, 3.0):
        (rows,) = compose(Decoding(engine, control, replace(options, recall=recall)))
        notes = decode(rows)
        onset = notes[:, Grid.ONSET]
        density = np.bincount(np.unique(onset) // 16, minlength=20)[:19]
        assert density.tolist() == [8] * 19
        places = {(int(n[Grid.ONSET]) // 8, int(n[Grid.PITCH])) for n in notes}
        shares.append(sum((half - 8, pitch) in places for half, pitch in places) / len(places))
    assert shares[1] > shares[0]


def test_a_recall_below_nothing_is_refused() -> None:
    for wrong in (-1.0, 11.0, float("nan")):
        with pytest.raises(UsageError, match="recall"):
            ComposeOptions(recall=wrong)
