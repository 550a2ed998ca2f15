"""What any listener would notice: who plays how much, how high, in which key, and whether bass and drums agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.training.measures.tonality import in_key

__all__ = ["PITCHED", "Sanity", "sanity_of"]

PITCHED: Final = (Instrument.PIANO, Instrument.GUITAR, Instrument.BASS, Instrument.STRINGS)
BACKBONE = (35, 36, 38, 40, 42, 44)  # General MIDI keys of kicks, snares, closed and pedal hi-hat


@dataclass(frozen=True)
class Sanity:
    """Figures of a piece, NaN where there is nothing to count; shares are 0..1.

    `notes_per_bar` and `silent_bars`, the share of bars in which it starts no note, are of every instrument; `low` and
    `high`, the 5th and 95th percentile of its MIDI pitches, and `repeated`, the share of its simu-notes with the same
    top pitch as the one before, of every pitched one. `empty_bars` is the share of bars in which nobody starts a note,
    `bass_on_drums` that of the bass's onset ticks on which drums start too, `backbone` that of the drums' notes on
    kick, snare and closed hi-hat. `drum_keys` counts the keys that the drums use.
    """

    notes_per_bar: Mapping[Instrument, float]
    silent_bars: Mapping[Instrument, float]
    empty_bars: float
    low: Mapping[Instrument, float]
    high: Mapping[Instrument, float]
    in_key: float
    repeated: Mapping[Instrument, float]
    bass_on_drums: float
    drum_keys: int
    backbone: float


def sanity_of(notes: GridNotes, bars: int) -> Sanity:
    """Return the figures of a piece of one bar or more; notes after the last bar are left out."""
    notes = notes[notes[:, Grid.ONSET] < bars * TICKS_PER_BAR]
    by = {instrument: notes[notes[:, Grid.INSTRUMENT] == instrument] for instrument in Instrument}
    drums, bass = by[Instrument.DRUMS], by[Instrument.BASS]
    return Sanity(
        notes_per_bar={instrument: len(own) / bars for instrument, own in by.items()},
        silent_bars={instrument: _silent(own, bars) for instrument, own in by.items()},
        empty_bars=_silent(notes, bars),
        low={instrument: _percentile(by[instrument], 5) for instrument in PITCHED},
        high={instrument: _percentile(by[instrument], 95) for instrument in PITCHED},
        in_key=in_key(notes),
        repeated={instrument: _repeated(by[instrument]) for instrument in PITCHED},
        bass_on_drums=_mean(np.isin(np.unique(bass[:, Grid.ONSET]), drums[:, Grid.ONSET])),
        drum_keys=len(np.unique(drums[:, Grid.PITCH])),
        backbone=_mean(np.isin(drums[:, Grid.PITCH], BACKBONE)),
    )


def _silent(notes: GridNotes, bars: int) -> float:
    return 1 - len(np.unique(notes[:, Grid.ONSET] // TICKS_PER_BAR)) / bars


def _percentile(notes: GridNotes, percent: float) -> float:
    return float(np.percentile(notes[:, Grid.PITCH], percent)) if len(notes) else math.nan


def _repeated(notes: GridNotes) -> float:
    """Return the share of simu-notes of one instrument, from the second on, whose top pitch is that of the last."""
    order = np.lexsort((notes[:, Grid.PITCH], notes[:, Grid.ONSET]))
    onset, pitch = notes[order, Grid.ONSET], notes[order, Grid.PITCH]
    top = pitch[np.append(onset[1:] != onset[:-1], True)[: len(onset)]]
    return _mean(top[1:] == top[:-1])


def _mean(which: npt.NDArray[np.bool_]) -> float:
    return float(which.mean()) if which.size else math.nan
