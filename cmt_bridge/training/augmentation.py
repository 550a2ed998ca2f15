"""Bends: the same harmony in a rhythm as pictures ask for, and which bars take up the harmony of which.

A picture asks for so many onsets in a bar and for hits at odd ticks; no music in the training data was written so. A
network that has never met such bars grows unsure in them and wanders (models/README.md has the figures). So bars are
bent: their notes move to the ticks that a picture might have asked for, or are left out, or struck again. The network
is told which bars are bent, so that those it composes by itself stay what they are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes, dedupe
from cmt_bridge.core.events import MOST_NOTES
from cmt_bridge.core.form import LONGEST_RETURN, NEW, PHRASE
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.training.measures.structure import chroma

__all__ = ["augment", "bars_back"]

Ints = npt.NDArray[np.int64]

ALIKE: Final = 0.9  # cosine of the pitch classes of two bars that have the same harmony
PHRASES_AGO = 4.0  # how much rather a bar takes up one of whole phrases ago
MEAN_HITS = 1.5  # of a bar
SPREAD = 4.0  # ticks that a picture asks for more or less than the music has
ANY_DENSITY = 0.5  # chance of a density that has nothing to do with the music's
LOOSE = 1.5  # how much chance there is in which ticks stay, beside how many notes begin on them
CLOSED_HI_HAT = 42
TIME_KEEPERS = (42, 44, 46, 51, 53, 59, 70, 69)  # hi-hats, rides, shakers
STRIKE_DRUM = 0.5  # chance that an empty tick gets a drum where both that and a chord could be struck
METRICAL = np.array([0, 8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15])  # ticks of a bar, the stronger first


def bars_back(notes: GridNotes, bars: int, rng: np.random.Generator) -> Ints:
    """Return the class of `Field.BARS_BACK` of every bar: any of the earlier bars with the same harmony.

    Harmony is the pitch classes of each half bar, weighted with how long they sound; a bar without any is unknown.
    """
    features = chroma(notes, bars).reshape(bars, -1, 12)
    norms = np.linalg.norm(features, axis=-1, keepdims=True)
    unit = features / np.where(norms > 0, norms, 1)
    silent = norms[..., 0] == 0
    alike = np.einsum("ahc,bhc->abh", unit, unit)
    alike = np.where(silent[:, None] & silent[None], 1, alike).mean(-1) > ALIKE
    classes = np.zeros(bars, np.int64)
    for bar in np.flatnonzero(~silent.all(axis=1)):
        back = np.flatnonzero(alike[bar, max(0, bar - LONGEST_RETURN) : bar][::-1]) + 1
        if len(back):
            weights = np.where(back % PHRASE, 1.0, PHRASES_AGO)
            classes[bar] = 1 + rng.choice(back, p=weights / weights.sum())
        else:
            classes[bar] = 1 + NEW
    return classes


def augment(notes: GridNotes, chosen: Ints, rng: np.random.Generator) -> tuple[GridNotes, Ints]:
    """Return notes, in word order, with the `chosen` bars bent, and the ticks that were hit in them.

    Where a bar was empty it stays so.
    """
    bar_of = notes[:, Grid.ONSET] // TICKS_PER_BAR
    parts = [notes[~np.isin(bar_of, chosen)]]
    hits: list[int] = []
    for bar in chosen:
        inside = notes[bar_of == bar].copy()
        if not len(inside):
            continue
        start = bar * TICKS_PER_BAR
        inside[:, Grid.ONSET] -= start
        ticks, struck = _wish(inside, rng)
        moved = _moved(inside, ticks)
        for tick in np.setdiff1d(ticks, moved[:, Grid.ONSET]):
            moved = _strike(moved, int(tick), rng)
        moved[:, Grid.ONSET] += start
        parts.append(moved)
        hits += [start + int(tick) for tick in struck]
    return dedupe(np.concatenate(parts)), np.array(hits, np.int64)


def _wish(notes: GridNotes, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return the ticks that a picture might ask this bar to have, and those of them that are hits."""
    weight = np.bincount(notes[:, Grid.ONSET], minlength=TICKS_PER_BAR)
    own = int((weight > 0).sum())
    any_density = rng.random() < ANY_DENSITY
    density = int(rng.integers(1, TICKS_PER_BAR + 1)) if any_density else round(rng.normal(own, SPREAD))
    hits = np.sort(rng.permutation(TICKS_PER_BAR)[: min(TICKS_PER_BAR, rng.poisson(MEAN_HITS))])
    density = max(1, len(hits), min(TICKS_PER_BAR, density))
    liking = np.log1p(weight) + LOOSE * rng.random(TICKS_PER_BAR)
    liking[weight == 0] = -1 - np.argsort(METRICAL)[weight == 0]
    liking[hits] = np.inf
    return np.sort(np.argsort(-liking, kind="stable")[:density]), hits


def _moved(notes: GridNotes, ticks: Ints) -> GridNotes:
    """Return the notes of a bar on the nearest of `ticks`; of an instrument's simu-notes that meet, the nearest stays.

    What lasted until the instrument's next onset, or to the end of the bar, does so again.
    """
    parts = []
    for instrument in np.unique(notes[:, Grid.INSTRUMENT]):
        own = notes[notes[:, Grid.INSTRUMENT] == instrument]
        onsets = np.unique(own[:, Grid.ONSET])
        distance = np.abs(onsets[:, None] - ticks[None])
        target = distance.argmin(axis=1)
        order = np.lexsort((distance[np.arange(len(onsets)), target], target))
        kept = np.sort(order[np.append(True, np.diff(target[order]) > 0)])
        ends = np.append(onsets[1:], TICKS_PER_BAR)
        new_ends = np.append(ticks[target[kept]][1:], TICKS_PER_BAR)
        for place, new_end in zip(kept, new_ends, strict=True):
            part = own[own[:, Grid.ONSET] == onsets[place]].copy()
            onset = ticks[target[place]]
            end = onsets[place] + part[:, Grid.DURATION]
            bound = (end >= ends[place] - 1) & (instrument != Instrument.DRUMS)
            end = np.where(bound, np.where(end > ends[place] + 1, np.maximum(end, new_end), new_end), end)
            part[:, Grid.ONSET] = onset
            part[:, Grid.DURATION] = np.maximum(1, end - onset)
            parts.append(part)
    return np.concatenate(parts)


def _strike(notes: GridNotes, tick: int, rng: np.random.Generator) -> GridNotes:
    """Let something begin on a tick where nothing does: a time keeper, or what sounds there again."""
    drums = notes[notes[:, Grid.INSTRUMENT] == Instrument.DRUMS]
    end = notes[:, Grid.ONSET] + notes[:, Grid.DURATION]
    sounding = (notes[:, Grid.INSTRUMENT] != Instrument.DRUMS) & (notes[:, Grid.ONSET] < tick) & (end > tick)
    if len(drums) and not (sounding.any() and rng.random() >= STRIKE_DRUM):
        keepers = drums[np.isin(drums[:, Grid.PITCH], TIME_KEEPERS)]
        new = (keepers if len(keepers) else drums)[:1].copy()
        if not len(keepers):
            new[:, Grid.PITCH] = CLOSED_HI_HAT
    elif sounding.any():
        again = sounding & (notes[:, Grid.INSTRUMENT] == rng.choice(np.unique(notes[sounding, Grid.INSTRUMENT])))
        new = notes[again][:MOST_NOTES].copy()
        new[:, Grid.DURATION] -= tick - new[:, Grid.ONSET]
        notes = notes.copy()
        notes[again, Grid.DURATION] = tick - notes[again, Grid.ONSET]
    else:
        nearest = np.abs(notes[:, Grid.ONSET] - tick).argmin()
        same = (notes[:, : Grid.PITCH] == notes[nearest, : Grid.PITCH]).all(axis=1)
        new = notes[same].copy()
        later = notes[(notes[:, Grid.INSTRUMENT] == notes[nearest, Grid.INSTRUMENT]) & (notes[:, Grid.ONSET] > tick)]
        new[:, Grid.DURATION] = later[:, Grid.ONSET].min(initial=TICKS_PER_BAR) - tick
    new[:, Grid.ONSET] = tick
    return np.concatenate([notes, new])
