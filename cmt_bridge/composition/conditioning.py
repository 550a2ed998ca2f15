"""Conditioning: what a network was told of the picture when it composed bars, told again of bars that are there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.composition.events import next_hits
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.events import START, EventRows, Field
from cmt_bridge.core.form import returns
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import beat_timing

__all__ = ["add_conditioning"]


def add_conditioning(rows: EventRows, notes: GridNotes, control: ControlTrack, options: ComposeOptions) -> None:
    """Fill in what the picture asked of events, where the notes of their piece do what it asked.

    Positions count from the start of the piece. A bar follows where it has the picture's density, or a visual beat with
    the picture's strength: which draws were made when it was composed, nobody knows any more.
    """
    control = control.with_ending()
    bars = max(control.bars, -(-int(rows[-1, Field.POSITION] + 1) // TICKS_PER_BAR))
    hits = _hits(notes, control, options, bars)
    follows = _dense(notes, control, options, bars) | hits.reshape(bars, TICKS_PER_BAR).any(1)
    told = options.recall > 0 and options.follows
    form: Sequence[int | None] = returns(control.bars) if told else []
    back = np.zeros(bars, np.int64)
    back[: len(form)] = [0 if ago is None else ago + 1 for ago in form]
    next_hits(rows, hits)
    played = rows[:, Field.PLACE] != START
    bar = rows[:, Field.POSITION] // TICKS_PER_BAR
    rows[:, Field.FOLLOWS] = follows[bar] * played
    rows[:, Field.BARS_BACK] = back[bar] * played
    rows[:, Field.TIMING] = beat_timing(rows[:, Field.POSITION], control.n_beat) * played


def _dense(notes: GridNotes, control: ControlTrack, options: ComposeOptions, bars: int) -> npt.NDArray[np.bool_]:
    """Return which bars have the density that the picture may ask of them."""
    onsets = np.unique(notes[:, Grid.ONSET])
    density = np.bincount(onsets // TICKS_PER_BAR, minlength=bars)[: control.bars]
    may = [options.density_control_of(bar) > 0 for bar in range(control.bars)]
    found = np.zeros(bars, np.bool_)
    found[: control.bars] = (density == control.density) & may
    return found


def _hits(notes: GridNotes, control: ControlTrack, options: ComposeOptions, bars: int) -> npt.NDArray[np.int64]:
    """Return the strengths, by tick, of the visual beats that sound; as loud as they can be played is loud enough."""
    ticks = bars * TICKS_PER_BAR
    counts = np.zeros((ticks, len(Instrument) + 1), np.int64)
    np.add.at(counts, (notes[:, Grid.ONSET], notes[:, Grid.INSTRUMENT]), 1)
    loudest = max(options.polyphony[instrument] for instrument in options.instruments)
    hits = np.zeros(ticks, np.int64)
    for beat in control.beats:
        may = options.beat_control_of(beat.tick // TICKS_PER_BAR) > 0
        if may and counts[beat.tick].max() >= min(beat.strength, loudest):
            hits[beat.tick] = beat.strength
    return hits
