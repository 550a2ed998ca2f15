"""A corpus: music files laid on the grid, grouped by song, split once and written as a dataset."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmt_bridge.composition.codec import Grid
from cmt_bridge.core.files import complete_folder
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import InputError, OutputError, UsageError
from cmt_bridge.training.dataset import (
    HELD_OUT,
    TRAINING,
    BuildReport,
    Entry,
    NotesFile,
    SideCounts,
    Skipped,
    write_index,
)
from cmt_bridge.training.duplicates import Groups, Signature, near_duplicates
from cmt_bridge.training.parts import FileParts, LeftOut, read_all
from cmt_bridge.training.sources import Source, find_sources

__all__ = ["build_dataset"]


@takes_paths
def build_dataset(
    folders: Sequence[Path],
    output: Path,
    *,
    held_out: float = 0.05,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> BuildReport:
    """Read all music under `folders`, split it by song, and write the dataset `output`.

    A `manifest.csv` in a folder or one above it, with columns `path` and `song` and perhaps `style`, tells which files
    are arrangements of one song; without one a file is a song. Songs that are the same music count as one; of parts
    with the same notes the first is kept. A share `held_out` of the songs is kept from training: the same songs
    whatever else the corpus holds, since the draw is a hash of the song and `seed`.

    Files that cannot be used are listed, never fatal. Raises `InputError` where a folder cannot be read or nothing is
    left, and `OutputError` where `output` exists or cannot be written.
    """
    if not 0.0 <= held_out < 1.0:
        raise UsageError("The held-out share must be 0 or more and below 1.", hint="0.05 is usual.")
    if output.is_symlink() or output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise OutputError(f"{output} exists already.", hint="Name another folder with -o.")
    sources = find_sources(folders)
    collection = _Collection()
    with complete_folder(output) as folder:
        with NotesFile(folder) as file, closing(read_all([source.path for source in sources], workers)) as read:
            for number, (source, parts) in enumerate(zip(sources, read, strict=True), 1):
                collection.add(source, parts, file)
                if progress is not None:
                    progress(number / len(sources))
        skipped = Counter(skipped.reason for skipped in collection.skipped)
        if not collection.entries:
            told = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
            raise InputError(f"None of {len(sources)} files can be used ({told}).", hint="Give more music in 4/4.")
        songs = collection.songs()
        groups = [min(songs[part]) for part in collection.kept]
        split = [(group, HELD_OUT if _draw(group, seed) < held_out else TRAINING) for group in groups]
        report = BuildReport(
            files=len(sources),
            training=collection.counts(split, TRAINING),
            held_out=collection.counts(split, HELD_OUT),
            styles=dict(sorted(Counter(entry.style for entry in collection.entries).items())),
            skipped=dict(sorted(skipped.items())),
            merged_songs=sum(len(names) - 1 for names in {min(names): names for names in songs}.values()),
            largest_group=max(map(len, songs)),
        )
        options = {"held_out": held_out, "seed": seed}
        write_index(folder, collection.entries, split, collection.skipped, options, report)
    return report


def _draw(group: str, seed: int) -> float:
    """Return a number in 0..1 that depends on the song and the seed only."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8], "big") / 2**64


class _Collection:
    """What reading has given so far. Parts are numbered, copies too; `kept` are those that have an entry."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.kept: list[int] = []
        self.skipped: list[Skipped] = []
        self._played: list[npt.NDArray[np.int64]] = []
        self._names: list[str] = []
        self._signatures: list[Signature] = []
        self._first_of: dict[bytes, tuple[int, str]] = {}
        self._copies: list[tuple[int, int]] = []

    def add(self, source: Source, parts: FileParts, file: NotesFile) -> None:
        """Take in what a file gave."""
        self.skipped += (Skipped(source.name, left.reason, left.detail) for left in parts.rest)
        for number, part in enumerate(parts.parts, 1):
            name = source.name if number == 1 else f"{source.name}#{number}"
            if isinstance(part, LeftOut):
                self.skipped.append(Skipped(name, part.reason, part.detail))
                continue
            index = len(self._names)
            self._names.append(source.song or part.song or source.path.stem)
            self._signatures.append(part.signature)
            first, same = self._first_of.setdefault(part.digest, (index, name))
            if first != index:
                self._copies.append((first, index))
                self.skipped.append(Skipped(name, "a copy", f"of {same}"))
                continue
            self.kept.append(index)
            self.entries.append(Entry(name, source.style, file.add(part.notes), len(part.notes), part.bars))
            self._played.append(np.bincount(part.notes[:, Grid.INSTRUMENT], minlength=len(Instrument) + 1))

    def songs(self) -> list[frozenset[str]]:
        """Give, for each part, the names of all songs that are the same music as its own."""
        groups = Groups(len(self._names))
        first_of: dict[str, int] = {}
        for index, name in enumerate(self._names):
            groups.join(first_of.setdefault(name, index), index)
        for one, other in self._copies:
            groups.join(one, other)
        near_duplicates(np.stack(self._signatures), groups)
        names: dict[int, set[str]] = {}
        for index, name in enumerate(self._names):
            names.setdefault(groups.find(index), set()).add(name)
        frozen = {group: frozenset(members) for group, members in names.items()}
        return [frozen[groups.find(index)] for index in range(len(self._names))]

    def counts(self, split: Sequence[tuple[str, str]], side: str) -> SideCounts:
        """Count what one side of the split holds."""
        chosen = [number for number, (_, at) in enumerate(split) if at == side]
        played = sum((self._played[number] for number in chosen), np.zeros(len(Instrument) + 1, np.int64))
        return SideCounts(
            songs=len({split[number][0] for number in chosen}),
            pieces=len(chosen),
            bars=sum(self.entries[number].bars for number in chosen),
            notes=int(played.sum()),
            instruments={instrument.title: int(played[instrument]) for instrument in Instrument},
        )
