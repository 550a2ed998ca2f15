"""A dataset: a folder of songs on the grid, split once into what is learned from and what is held out.

    notes.npy      int32 (notes, 5), columns as in `codec.Grid`; the notes of a piece in a row
    pieces.json    name, style, first note, notes and bars of each piece
    split.csv      piece, group, side
    skipped.csv    path, reason, detail of what was left out
    dataset.json   format, version, options and counts

The notes are mapped into memory, so that a dataset may be larger than it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from cmt_bridge import __version__
from cmt_bridge.composition.codec import Grid, GridNotes
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import InputError

__all__ = [
    "HELD_OUT",
    "TRAINING",
    "BuildReport",
    "Dataset",
    "Entry",
    "NotesFile",
    "Piece",
    "SideCounts",
    "Skipped",
    "open_dataset",
    "read_report",
    "write_index",
]

FORMAT, VERSION = "cmt-bridge dataset", 1
NOTES, PIECES, SPLIT, SKIPPED, RECORD = "notes.npy", "pieces.json", "split.csv", "skipped.csv", "dataset.json"
TRAINING, HELD_OUT = "training", "held out"
DTYPE = "<i4"


@dataclass(frozen=True)
class Piece:
    """A song, or a part of one, on the grid: `notes` in word order, `bars` long.

    `notes` are int32, cannot be written to, and last at most 64 ticks. `name` is the file's path below its folder, with
    `#2` for the second part. `group` is the song: all pieces of a group are on one
    side of the split. `style` is empty where it is unknown.
    """

    name: str
    group: str
    style: str
    notes: GridNotes
    bars: int


@dataclass(frozen=True)
class Dataset:
    """Pieces to learn from and pieces held out; `styles` in order, without the unknown one."""

    folder: Path
    training: tuple[Piece, ...]
    held_out: tuple[Piece, ...]
    styles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index says of a piece: its notes are `count` from `first` on."""

    name: str
    style: str
    first: int
    count: int
    bars: int


@dataclass(frozen=True, order=True, slots=True)
class Skipped:
    """What was left out and why; `detail` says more than `reason` where there is more to say."""

    path: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SideCounts:
    """What one side of the split holds; `instruments` counts the notes of each."""

    songs: int
    pieces: int
    bars: int
    notes: int
    instruments: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What became of `files` files.

    `styles` counts pieces, `skipped` what was left out by reason (files, or parts of them). `merged_songs` were found
    to be the same music as another song; the largest group that arose so has `largest_group` songs.
    """

    files: int
    training: SideCounts
    held_out: SideCounts
    styles: Mapping[str, int]
    skipped: Mapping[str, int]
    merged_songs: int
    largest_group: int


# Writing


class NotesFile:
    """Write notes to `folder` as they come, never holding them all.

    >>> with NotesFile(folder) as file:  # doctest: +SKIP
    ...     first = file.add(notes)
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / NOTES).open("wb")
        self._count = 0
        self._head()

    def _head(self) -> None:
        header = {"descr": DTYPE, "fortran_order": False, "shape": (self._count, len(Grid))}
        np.lib.format.write_array_header_1_0(self._file, header)  # always as long, whatever the count

    def add(self, notes: npt.NDArray[np.integer[Any]]) -> int:
        """Append notes; return the number of the first."""
        first = self._count
        self._file.write(np.ascontiguousarray(notes, DTYPE).tobytes())
        self._count += len(notes)
        return first

    def __enter__(self) -> NotesFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._head()
        finally:
            self._file.close()


@takes_paths
def write_index(
    folder: Path,
    entries: Sequence[Entry],
    split: Sequence[tuple[str, str]],
    skipped: Iterable[Skipped],
    options: Mapping[str, Any],
    report: BuildReport,
) -> None:
    """Write all but the notes; `split` gives group and side of each entry."""
    lines = ",\n".join(json.dumps(asdict(entry), ensure_ascii=False) for entry in entries)
    (folder / PIECES).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    sides = [(entry.name, *line) for entry, line in zip(entries, split, strict=True)]
    _write_csv(folder / SPLIT, ("piece", "group", "side"), sides)
    _write_csv(folder / SKIPPED, ("path", "reason", "detail"), [(s.path, s.reason, s.detail) for s in sorted(skipped)])
    record = {"format": FORMAT, "version": VERSION, "made_by": f"cmt-bridge {__version__}", "options": options}
    text = json.dumps(record | {"counts": asdict(report)}, indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


# Reading


def _refuse(folder: Path, what: str) -> InputError:
    return InputError(f"{folder} {what}.", hint="Make it with `cmt-bridge data build`.")


def _record(folder: Path) -> Mapping[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except OSError as error:
        raise _refuse(folder, "is no dataset") from error
    except ValueError as error:
        raise _refuse(folder, "is a damaged dataset") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise _refuse(folder, "is no dataset")
    if record.get("version") != VERSION:
        raise _refuse(folder, f"is a dataset of version {record.get('version')}, not {VERSION}")
    return record


@takes_paths
def read_report(folder: Path) -> BuildReport:
    """Read what was reported when a dataset was built. Raises `InputError` as `open_dataset` does."""
    record = _record(folder)
    try:
        counts = dict(record["counts"])
        sides = {side: SideCounts(**counts[side]) for side in ("training", "held_out")}
        return BuildReport(**(counts | sides))
    except (TypeError, KeyError, ValueError) as error:
        raise _refuse(folder, "is a damaged dataset") from error


@takes_paths
def open_dataset(folder: Path) -> Dataset:
    """Open a dataset; its notes stay on disk until they are read.

    Raises `InputError` where the folder is none, is damaged, or of another version.
    """
    _record(folder)
    try:
        notes = np.load(folder / NOTES, mmap_mode="r", allow_pickle=False)
        entries = [Entry(**entry) for entry in json.loads((folder / PIECES).read_text(encoding="utf-8"))]
        with (folder / SPLIT).open(newline="", encoding="utf-8") as file:
            split = [(row["piece"], row["group"], row["side"]) for row in csv.DictReader(file)]
        if notes.dtype != np.dtype(DTYPE) or notes.ndim != 2 or notes.shape[1] != len(Grid):
            raise ValueError(NOTES)
        sides = _sides(np.asarray(notes), entries, split)
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise _refuse(folder, "is a damaged dataset") from error
    pieces = [piece for side in sides.values() for piece in side]
    styles = sorted({piece.style for piece in pieces} - {""})
    return Dataset(folder, tuple(sides[TRAINING]), tuple(sides[HELD_OUT]), tuple(styles))


def _sides(notes: GridNotes, entries: Sequence[Entry], split: Sequence[tuple[str, str, str]]) -> dict[str, list[Piece]]:
    sides: dict[str, list[Piece]] = {TRAINING: [], HELD_OUT: []}
    for entry, (name, group, side) in zip(entries, split, strict=True):
        if name != entry.name or not 0 <= entry.first <= entry.first + entry.count <= len(notes) or entry.bars < 1:
            raise ValueError(entry.name)
        piece = Piece(name, group, entry.style, notes[entry.first : entry.first + entry.count], entry.bars)
        sides[side].append(piece)
    return sides
