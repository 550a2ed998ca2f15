"""The files of a corpus, and what a manifest says of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cmt_bridge.errors import InputError
from cmt_bridge.midi.file import find_midi

__all__ = ["ARRAYS", "Source", "find_sources"]

ARRAYS = ".npz"
MANIFEST = "manifest.csv"


@dataclass(frozen=True, slots=True)
class Source:
    """A music file: its path, its name in a dataset, and what a manifest says of it; empty where it says nothing."""

    path: Path
    name: str
    song: str
    style: str


def find_sources(folders: Sequence[Path]) -> list[Source]:
    """Return the MIDI and array files under all folders, in the order of their names; a file that lies in two once.

    Names are paths relative to the folder; where there are several folders, with its name before. Raises `InputError`
    where a folder cannot be read or none holds music.
    """
    found: dict[Path, Source] = {}
    labels: set[str] = set()
    for folder in folders:
        try:
            next(folder.iterdir(), None)
        except OSError as error:
            raise InputError(f"Cannot read {folder}: {error.strerror}.", hint="Give a folder of music.") from error
        said = _manifest(folder)
        label = _label(folder, labels) if len(folders) > 1 else ""
        arrays = (path for path in folder.rglob("*") if path.suffix.lower() == ARRAYS and path.is_file())
        for path in (*find_midi(folder), *arrays):
            place = path.resolve()
            name = label + path.relative_to(folder).as_posix()
            found.setdefault(place, Source(path, name, *said.get(place, ("", ""))))
    if not found:
        raise InputError(f"No music under {', '.join(map(str, folders))}.", hint="Give a folder of .mid files.")
    return sorted(found.values(), key=lambda source: source.name)


def _label(folder: Path, labels: set[str]) -> str:
    name = label = folder.resolve().name
    number = 1
    while label in labels:
        number += 1
        label = f"{name} {number}"
    labels.add(label)
    return f"{label}/"


def _manifest(folder: Path) -> dict[Path, tuple[str, str]]:
    """Return song and style of files, from the nearest manifest in the folder or above it that tells of songs."""
    root = folder.resolve()
    for place in (root, *root.parents):
        path = place / MANIFEST
        if not path.is_file():
            continue
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                table = csv.DictReader(file)
                if {"path", "song"} <= set(table.fieldnames or ()):
                    return {place / (row["path"] or ""): (row["song"] or "", row.get("style") or "") for row in table}
        except (OSError, ValueError, csv.Error) as error:
            raise InputError(f"{path} is no table of songs.", hint="Save it as CSV in UTF-8.") from error
    return {}
