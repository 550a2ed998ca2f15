"""A corpus: MIDI files laid on the grid, grouped by song and split once."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from cmt_bridge.compose.codec import Grid, GridNotes, bars_of, quantize
from cmt_bridge.core.tokens import CLASSES, Column
from cmt_bridge.errors import InputError, MidiError
from cmt_bridge.outputs.midi import read_song

__all__ = ["Corpus", "Piece", "read_corpus"]

MANIFEST = "manifest.csv"
SUFFIXES = (".mid", ".midi", ".smf", ".kar")
FEW_FILES = 200  # are read sooner than a process starts
LEAST_BARS = 4
LEAST_NOTES = 64
MOST_NOTES_AT_ONCE = CLASSES[Column.STRENGTH] - 1


@dataclass(frozen=True)
class Piece:
    """A song on the grid: `notes` in word order, `bars` long; files of one `group` stay on one side of the split."""

    name: str
    group: str
    notes: GridNotes
    bars: int


@dataclass(frozen=True)
class Corpus:
    """Pieces to learn from and pieces held out; `skipped` counts files by the reason they were left out."""

    training: tuple[Piece, ...]
    held_out: tuple[Piece, ...]
    skipped: dict[str, int]


def read_corpus(
    folders: Sequence[Path], *, held_out: float = 0.05, seed: int = 0, progress: Callable[[float], None] | None = None
) -> Corpus:
    """Read every MIDI file under `folders` and split by song.

    A `manifest.csv` in a folder or one above it, with columns `path` and `song`, tells which files are arrangements of
    one song; without one a file is a song. A share `held_out` of the songs is kept from training: the same songs
    whatever else the corpus holds, since the draw is a hash of the song and `seed`.
    """
    paths = sorted(path for folder in folders for path in _midi_files(folder))
    if not paths:
        raise InputError(f"No MIDI file under {', '.join(map(str, folders))}.", hint="Give a folder of .mid files.")
    groups = _groups(folders)
    pieces: list[Piece] = []
    skipped: Counter[str] = Counter()
    for index, (path, outcome) in enumerate(zip(paths, _read_all(paths), strict=True)):
        if isinstance(outcome, str):
            skipped[outcome] += 1
        else:
            notes, bars = outcome
            pieces.append(Piece(path.name, groups.get(path.resolve(), path.stem), notes, bars))
        if progress is not None:
            progress((index + 1) / len(paths))
    kept = [_draw(piece.group, seed) >= held_out for piece in pieces]
    return Corpus(
        training=tuple(piece for piece, keep in zip(pieces, kept, strict=True) if keep),
        held_out=tuple(piece for piece, keep in zip(pieces, kept, strict=True) if not keep),
        skipped=dict(skipped),
    )


def _midi_files(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", hint="Give a folder of .mid files.")
    return (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _groups(folders: Sequence[Path]) -> dict[Path, str]:
    groups: dict[Path, str] = {}
    for folder in folders:
        root = folder.resolve()
        for place in (root, *root.parents):
            if (place / MANIFEST).is_file():
                with (place / MANIFEST).open(newline="", encoding="utf-8") as file:
                    groups.update({place / row["path"]: row["song"] for row in csv.DictReader(file)})
                break
    return groups


def _draw(group: str, seed: int) -> float:
    """Give a number in 0..1 that depends on the song and the seed only."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8], "big") / 2**64


def _read_all(paths: Sequence[Path]) -> Iterator[tuple[GridNotes, int] | str]:
    """Read files in order, in other processes where they are many; spawned, since a fork copies held locks."""
    if len(paths) < FEW_FILES:
        yield from map(_read, paths)
        return
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        yield from pool.map(_read, paths, chunksize=16)


def _read(path: Path) -> tuple[GridNotes, int] | str:
    """Give notes and bars of a file, or why it is left out."""
    try:
        song = read_song(path)
    except MidiError:
        return "unreadable or empty"
    if any((numerator, denominator) != (4, 4) for _, numerator, denominator in song.metres):
        return "not in 4/4 throughout"
    notes, length = quantize(song)
    if len(notes) < LEAST_NOTES or length < LEAST_BARS * 16:
        return "too short"
    return _capped(notes), bars_of(length)


def _capped(notes: GridNotes) -> GridNotes:
    """Keep at most as many notes of a simu-note as the strength column can count."""
    starts = np.ones(len(notes), bool)
    starts[1:] = (notes[1:, : Grid.PITCH] != notes[:-1, : Grid.PITCH]).any(axis=1)
    place = np.arange(len(notes)) - np.flatnonzero(starts)[np.cumsum(starts) - 1]
    kept: GridNotes = notes[place < MOST_NOTES_AT_ONCE]
    return kept
