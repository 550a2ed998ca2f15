"""Write takes: folders with the MIDI file, the score and the metadata, complete or not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from cmt_bridge.core.files import complete_folder, new_folder, sha256_of, short
from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.score import Provenance, Score
from cmt_bridge.errors import ScoreError
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.outputs.scorefile import METADATA_NAME, SCORE_NAME, read_score, write_json, write_score

__all__ = ["takes_of_folder", "write_take"]


def _take_folders(folder: Path) -> Iterator[Path]:
    """Yield `folder`, then `FOLDER take 2`, `FOLDER take 3`, …, without end."""
    yield folder
    for take in count(2):
        yield folder.with_name(f"{folder.name} take {take}")


@takes_paths
def takes_of_folder(folder: Path) -> list[Provenance]:
    """Return where the scores in `folder` and its later takes came from, up to the first that is not there."""
    found = []
    for take in takewhile(Path.is_dir, _take_folders(folder)):
        with suppress(ScoreError):
            found.append(read_score(take).provenance)
    return found


@takes_paths
def write_take(
    score: Score,
    metadata: VideoMetadata | None,
    title: str,
    folder: Path,
    *,
    midi: bytes | None = None,
    also: Mapping[str, Callable[[Mapping[str, str]], Any]] | None = None,
    parents: bool = True,
    fresh: bool = False,
) -> Path:
    """Write a score to a new folder, complete or not at all: `title`.mid, score.json and the metadata.

    Returns the folder.

    `midi` are the bytes of the MIDI file, where they are not to be those of the score; `also` are more JSON files, made
    of the names and the SHA-256 of those before them. `parents` is as in `complete_folder`; with `fresh` the folder is
    a later take where something is in it.
    """

    def fill(temporary: Path) -> None:
        (temporary / f"{_one_name(title)}.mid").write_bytes(midi_bytes(score) if midi is None else midi)
        write_score(score, temporary / SCORE_NAME)
        if metadata is not None:
            write_json(metadata.to_json(), temporary / METADATA_NAME)
        made = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
        for name, data in (also or {}).items():
            write_json(data(made), temporary / name)

    if fresh:
        return new_folder(_take_folders(folder), fill, parents=parents)
    with complete_folder(folder, parents=parents) as temporary:
        fill(temporary)
    return folder


def _one_name(title: str) -> str:
    """Return a title without what would lead to another folder: a score.json may state any."""
    return short("".join("_" if letter in "/\\\0" else letter for letter in title)) or "clip"
