"""What a music file gives: its parts in 4/4 on the grid, and what of it is left out."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid, GridNotes, decode, simu_note_starts
from cmt_bridge.composition.metre import bars_until, four_four, passages, stretches
from cmt_bridge.core.events import MOST_NOTES
from cmt_bridge.errors import MidiError, ScoreError
from cmt_bridge.midi.song import read_song
from cmt_bridge.outputs.npz import read_songs
from cmt_bridge.training.duplicates import Signature, signature
from cmt_bridge.training.sources import ARRAYS

__all__ = ["FEW_FILES", "LONGEST", "FileParts", "LeftOut", "Part", "read_all", "read_parts"]

FEW_FILES = 200  # are read sooner than a process starts
LEAST_BARS = 4
LEAST_NOTES = 64
LONGEST = 64  # ticks of a duration


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Why a file, or a part of it, is left out; `detail` says more than `reason`."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Part:
    """A part of a file on the grid; `digest` tells its notes, velocities aside, from others.

    `song` names it where the file names its songs.
    """

    notes: npt.NDArray[np.int32]
    bars: int
    digest: bytes
    signature: Signature
    song: str = ""


@dataclass(frozen=True)
class FileParts:
    """The parts of a file in order, those that are too short too, and what is left out of the rest."""

    parts: tuple[Part | LeftOut, ...]
    rest: tuple[LeftOut, ...] = ()


def read_parts(path: Path) -> FileParts:
    """Read a MIDI file or a song file of the original; never fails over its content."""
    return _from_array_file(path) if path.suffix.lower() == ARRAYS else _from_midi(path)


def _from_midi(path: Path) -> FileParts:
    try:
        song = read_song(path)
    except MidiError as error:
        return FileParts((), (_unreadable(path, error),))
    if not any(len(track.notes) for track in song.tracks if track.instrument):
        return FileParts((), (LeftOut("for none of the instruments", "effects and percussion without pitch only"),))
    laid = (notes for stretch in four_four(song, longest=LONGEST) for notes in passages(stretch))
    parts = tuple(_part(notes) for notes in laid)
    others = {f"{s.numerator}/{s.denominator}" for s in stretches(song) if not (s.is_four_four or s.is_pick_up)}
    reason = "partly not in 4/4" if parts else "not in 4/4"
    return FileParts(parts, (LeftOut(reason, ", ".join(sorted(others))),) if others or not parts else ())


def _from_array_file(path: Path) -> FileParts:
    parts: list[Part | LeftOut] = []
    try:
        for song in read_songs(path):
            parts += (_part(notes, song.name) for notes in passages(_tidied(decode(song.rows))))
    except ScoreError as error:
        return FileParts(tuple(parts), (_unreadable(path, error),))
    return FileParts(tuple(parts), () if parts else (LeftOut("unreadable or empty", "it holds no notes"),))


def _unreadable(path: Path, error: MidiError | ScoreError) -> LeftOut:
    return LeftOut("unreadable or empty", str(error.args[0]).replace(str(path), "it").rstrip("."))


def _part(notes: GridNotes, song: str = "") -> Part | LeftOut:
    notes = _capped(notes)
    bars = bars_until(notes)
    if bars < LEAST_BARS or len(notes) < LEAST_NOTES:
        return LeftOut("too short", f"{bars} bars, {len(notes)} notes")
    digest = hashlib.sha256(np.ascontiguousarray(notes[:, : Grid.VELOCITY], "<i8").tobytes()).digest()
    return Part(notes.astype(np.int32), bars, digest, signature(notes), song)


def _tidied(notes: GridNotes) -> GridNotes:
    """Return the notes of compound words each once, of a tick or more, in the order that `quantize` gives them."""
    notes = notes.copy()
    notes[:, Grid.DURATION] = np.clip(notes[:, Grid.DURATION], 1, LONGEST)
    columns = (-notes[:, Grid.DURATION], notes[:, Grid.PITCH], notes[:, Grid.INSTRUMENT], notes[:, Grid.ONSET])
    notes = notes[np.lexsort(columns)]
    first = np.ones(len(notes), bool)
    first[1:] = (notes[1:, : Grid.DURATION] != notes[:-1, : Grid.DURATION]).any(axis=1)
    return notes[first]


def _capped(notes: GridNotes) -> GridNotes:
    """Keep at most as many notes of a simu-note as the strength column can count."""
    starts = simu_note_starts(notes)
    place = np.arange(len(notes)) - np.flatnonzero(starts)[np.cumsum(starts) - 1]
    kept: GridNotes = notes[place < MOST_NOTES]
    return kept


def read_all(paths: Sequence[Path], workers: int | None) -> Generator[FileParts]:
    """Read files in order, in `workers` processes; None takes as many as there are processors, or none for few files.

    Processes are spawned, since a fork copies held locks.
    """
    if workers is None:
        workers = _processors() if len(paths) >= FEW_FILES else 1
    if workers == 1:
        yield from map(read_parts, paths)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        with _without_interrupts():
            results = pool.map(read_parts, paths, chunksize=16)
        yield from results


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C here, and for good in processes that are begun meanwhile: it reaches all, and one is to act."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
