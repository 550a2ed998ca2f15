"""How closely music follows its picture: the paper's three control errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR

__all__ = ["ControlErrors", "control_errors", "mean_errors", "steadiest"]

DENSITY_SPREAD, STRENGTH_SPREAD = 10.90, 1.83  # by which the released code divides


@dataclass(frozen=True)
class ControlErrors:
    """Mean absolute errors in the paper's units; `bars` and `beats` are how many the first two are means of."""

    density: float
    strength: float
    time: float
    bars: int = 0
    beats: int = 0


def control_errors(notes: GridNotes, control: ControlTrack) -> ControlErrors:
    """Compare music with what its picture asks for.

    Density counts over all bars before that of the last chord; strength over all visual beats, the largest simu-note
    there against the picture's; time is how far the last note's end lies from the picture's, as a share of its length.
    """
    wanted = control.with_ending()
    ticks = np.zeros((control.bars * TICKS_PER_BAR, int(notes[:, Grid.INSTRUMENT].max(initial=0)) + 1), np.int64)
    np.add.at(ticks, (notes[:, Grid.ONSET], notes[:, Grid.INSTRUMENT]), 1)
    heard = (ticks.max(axis=1) > 0).reshape(control.bars, TICKS_PER_BAR).sum(axis=1)[: control.ending]
    density = np.abs(heard - np.array(control.density[: control.ending])) / DENSITY_SPREAD
    strength = [abs(int(ticks[beat.tick].max()) - beat.strength) / STRENGTH_SPREAD for beat in wanted.beats]
    end = int((notes[:, Grid.ONSET] + notes[:, Grid.DURATION]).max(initial=0))
    return ControlErrors(
        density=float(density.mean()) if len(density) else 0.0,
        strength=float(np.mean(strength)) if strength else 0.0,
        time=abs(end - control.n_beat) / control.n_beat,
        bars=len(density),
        beats=len(strength),
    )


def mean_errors(errors: list[ControlErrors]) -> ControlErrors:
    """Return the means over all bars, all visual beats and all pieces."""
    bars, beats = sum(e.bars for e in errors), sum(e.beats for e in errors)
    return ControlErrors(
        density=sum(e.density * e.bars for e in errors) / max(1, bars),
        strength=sum(e.strength * e.beats for e in errors) / max(1, beats),
        time=float(np.mean([e.time for e in errors])) if errors else 0.0,
        bars=bars,
        beats=beats,
    )


ROUNDS = 20  # until the favoured ticks stay the same


def steadiest(control: ControlTrack) -> GridNotes:
    """Return a rhythm, one drum, that obeys the picture in every bar and is else as much the same as can be.

    Bars of other densities and hits on other ticks cannot groove as one: its grooving similarity is what obedience
    leaves to reach. Each bar takes its hits, then the ticks that most bars have; repeated until that changes nothing.
    """
    wanted, bars = control.with_ending(), control.ending
    hits = np.zeros((bars, TICKS_PER_BAR), np.bool_)
    ticks = [beat.tick for beat in wanted.beats if beat.tick < bars * TICKS_PER_BAR]
    hits.flat[ticks] = True
    rhythm = hits
    for _ in range(ROUNDS):
        favour = np.argsort(-rhythm.sum(axis=0), kind="stable")
        rhythm = hits.copy()
        for bar, density in enumerate(wanted.density[:bars]):
            free = [tick for tick in favour if not hits[bar, tick]]
            rhythm[bar, free[: max(0, density - int(hits[bar].sum()))]] = True
    onset = np.flatnonzero(rhythm)
    notes = np.zeros((len(onset), len(Grid)), np.int64)
    notes[:, Grid.ONSET] = onset
    notes[:, Grid.INSTRUMENT], notes[:, Grid.PITCH], notes[:, Grid.DURATION] = Instrument.DRUMS, 36, 1
    return notes
