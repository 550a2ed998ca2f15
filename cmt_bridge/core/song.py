"""A song as it was played: the notes of a MIDI file before any grid is laid over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.instruments import Instrument

__all__ = ["Song", "SongTrack"]


@dataclass(frozen=True)
class SongTrack:
    """The notes of one MIDI track.

    `notes` has shape (notes, 4), int64, columns start, end (both in file ticks), pitch, velocity, sorted by start,
    then pitch. `instrument` is None where none of the five can play the track.
    """

    name: str
    program: int
    is_drum: bool
    instrument: Instrument | None
    notes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Song:
    """A whole MIDI file.

    `tempos` are (file tick, microseconds per quarter), `metres` are (file tick, numerator, denominator), both in order;
    empty where the file states none.
    """

    name: str
    ticks_per_quarter: int
    tracks: tuple[SongTrack, ...]
    tempos: tuple[tuple[int, int], ...] = ()
    metres: tuple[tuple[int, int, int], ...] = ()
