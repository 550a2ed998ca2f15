"""Key bias: music that was asked for in a key is biased towards the notes of that key.

A network that is told a key often wanders off into another, above all where the picture decides its rhythms. So where a
key is asked for, what lies outside of its scale is made less likely; and as long as what was played so far would be
heard in another key, so is what speaks for that one: tonic, fifth and third are made more likely. A note from outside
stays possible. Where no key is asked for nothing is touched.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.key import KEY_PROFILES, SCALES, key_of
from cmt_bridge.core.tokens import CLASSES, Column
from cmt_bridge.model.decoding_state import DecodingState

__all__ = ["KeyBias"]

Bias = npt.NDArray[np.float64]
"""Shape (classes of the pitch column): what is added to the logits."""

OUTSIDE = 1.5
"""Nats that a pitch outside of the scale loses."""
FITTING = 0.5
"""Nats, while another key is heard, per standard deviation by which a pitch class fits the key better than the mean."""


class KeyBias:
    """Bias pitches towards a key, given as `key_class` of the options; 0 does nothing."""

    def __init__(self, key_class: int) -> None:
        mode, tonic = divmod(key_class - 1, 12)
        self._key = (tonic, mode) if key_class else None
        self._within, self._back = _biases(tonic, mode)

    def bias(self, column: Column, cursor: DecodingState) -> Bias | None:
        """Return what to add to a column's logits; None for nothing."""
        if self._key is None or column is not Column.PITCH or cursor.instrument == Instrument.DRUMS:
            return None
        heard = cursor.pitch_classes
        return self._within if heard.any() and key_of(heard) == self._key else self._back


def _biases(tonic: int, mode: int) -> tuple[Bias, Bias]:
    """Return the bias while a key is heard, and the one that leads back to it."""
    degree = (np.arange(CLASSES[Column.PITCH]) - 1 - tonic) % 12
    profile = KEY_PROFILES[mode]
    fitting: Bias = FITTING * (profile - profile.mean()) / profile.std()
    within: Bias = np.where(np.isin(degree, SCALES[mode]), 0.0, -OUTSIDE)
    return within, within + fitting[degree]
