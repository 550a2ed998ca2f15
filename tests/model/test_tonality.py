"""Music that was asked for in a key leans on it; other music is not touched."""

from __future__ import annotations

import numpy as np
import pytest

from cmt_bridge.composition.codec import Grid, decode
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.key import KEYS, SCALES
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import Column
from cmt_bridge.model.decoding import Decoding, compose, engine_for
from cmt_bridge.model.decoding_state import DecodingState
from cmt_bridge.model.tonality import OUTSIDE, KeyBias

PIANO = int(Instrument.PIANO)


def key_class(key: str) -> int:
    return ComposeOptions(key=key).key_class


def cursor(heard: np.ndarray | None = None, instrument: int = PIANO) -> DecodingState:
    found = DecodingState()
    found.instrument = instrument
    if heard is not None:
        found.pitch_classes += heard
    return found


def scale(key: str) -> np.ndarray:
    """Give sounding times of a scale whose tonic chord is held longest."""
    mode, tonic = divmod(KEYS.index(key), 12)
    heard = np.zeros(12)
    heard[list(SCALES[mode])] = 1.0
    heard[[0, SCALES[mode][2], 7]] += 2.0
    return np.roll(heard, tonic)


@pytest.mark.parametrize("key", ["C", "F#", "Am", "Ebm"])
def test_what_lies_outside_of_the_key_is_less_likely(key: str) -> None:
    leaning = KeyBias(key_class(key)).bias(Column.PITCH, cursor(scale(key)))
    assert leaning is not None
    mode, tonic = divmod(KEYS.index(key), 12)
    inside = np.isin((np.arange(128) - tonic) % 12, SCALES[mode])
    assert (leaning[1:129][inside] == 0).all()
    assert (leaning[1:129][~inside] == -OUTSIDE).all()


def test_another_key_that_is_heard_is_led_back() -> None:
    tonality = KeyBias(key_class("C"))
    for heard in (scale("Am"), scale("G"), None):
        leaning = tonality.bias(Column.PITCH, cursor(heard))
        assert leaning is not None
        pitches = leaning[61:73]  # from middle C on
        assert pitches.argmax() == 0
        assert np.argsort(-pitches)[:3].tolist() == [0, 7, 4]


def test_nothing_else_is_touched() -> None:
    assert KeyBias(0).bias(Column.PITCH, cursor(scale("C"))) is None
    tonality = KeyBias(key_class("C"))
    assert tonality.bias(Column.PITCH, cursor(instrument=int(Instrument.DRUMS))) is None
    assert tonality.bias(Column.BEAT, cursor()) is None


def test_a_key_that_is_asked_for_is_kept_to(composer: object) -> None:
    """Even a network that has learned nothing, and so plays all pitches alike, keeps to the scale most of the time."""
    control = ControlTrack(TempoMap.constant(120), (4,) * 5, (), 80)
    options = ComposeOptions(
        seed=5,
        key="F#",
        density_control=(1.0,),
        instruments=(Instrument.PIANO,),
        polyphony={**ComposeOptions().polyphony, Instrument.PIANO: 2},
    )
    notes = decode(compose(Decoding(engine_for(composer), control, options))[0])  # type: ignore[arg-type]
    inside = np.isin((notes[:, Grid.PITCH] - KEYS.index("F#")) % 12, SCALES[0])
    assert len(notes) > 16
    assert inside.mean() > 0.7  # by chance it is 7 of 12


def test_the_last_chord_is_that_of_the_key(composer: object) -> None:
    control = ControlTrack(TempoMap.constant(120), (2,) * 3, (), 48)
    for key, triad in (("E", {4, 8, 11}), ("Gm", {7, 10, 2})):
        options = ComposeOptions(seed=1, key=key, instruments=(Instrument.PIANO,), density_control=(1.0,))
        notes = decode(compose(Decoding(engine_for(composer), control, options))[0])  # type: ignore[arg-type]
        last = notes[notes[:, Grid.ONSET] == notes[:, Grid.ONSET].max()]
        assert set((last[:, Grid.PITCH] % 12).tolist()) <= triad
