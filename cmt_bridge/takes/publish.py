"""Where a session wants the current take: a copy of its files, and nobody's edited ones.

Nothing leaves a take but what was written into it: a file that its record names, with the bytes that it had then, of a
closed list of kinds. So a folder that came from somebody else cannot have a file of theirs put anywhere, or one of the
person's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cmt_bridge.config import Outputs
from cmt_bridge.core.files import (
    PROJECT_SUFFIX,
    complete_path,
    is_there,
    new_file,
    numbered,
    opened,
    sha256_of,
    with_addition,
)
from cmt_bridge.errors import InputError
from cmt_bridge.midi.file import read_midi
from cmt_bridge.outputs.preview import CONTAINERS
from cmt_bridge.outputs.scorefile import SCORE_NAME, read_score
from cmt_bridge.projects.arrangement import version_of
from cmt_bridge.takes.take import Take
from cmt_bridge.takes.take_folder import TakeFolder

__all__ = ["Published", "previews_of", "publish", "publish_folder"]

PIECE: Final = 1 << 20  # bytes copied at once


@dataclass(frozen=True, slots=True)
class Published:
    """What was dropped for a session.

    `written` are the files; `left` are those there that others edited and that were left alone, `refused` those of the
    take that are not what was written into it.
    """

    written: tuple[Path, ...] = ()
    left: tuple[Path, ...] = ()
    refused: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file of a take, the name that it goes by in a session, and its SHA-256."""

    source: Path
    name: str
    sha256: str


def publish(project: TakeFolder, outputs: Outputs) -> Published:
    """Copy the current take's files to where a session wants them.

    A file there is replaced only while it is a copy of some take; an edited one is left alone, and the take goes
    beside it under its own number. Raises `UsageError` where that is no place for files of this folder.
    """
    if not outputs.drop:
        return Published()
    folder = publish_folder(project, outputs)
    take = project.current()
    written, left, refused = [], [], []
    for each in _copies(project, take, outputs):
        if not each.sha256 or _content(each.source) != each.sha256:
            refused.append(each.source)
            continue
        target = folder / each.name
        if is_there(target) and not _is_ours(project, target):
            left.append(target)
            target = with_addition(target, f" take {take.number}")
        written.append(_put(project, each, target, parents=folder != project.folder.parent))
    return Published(tuple(written), tuple(left), tuple(refused))


def publish_folder(project: TakeFolder, outputs: Outputs) -> Path:
    """Return the folder where files are dropped; it is the clip's own where `drop` is ".". Raises `UsageError`."""
    return outputs.folder_from(project.folder.parent)


def previews_of(take: Take) -> list[Path]:
    """Return the previews that were made for a take."""
    names = take.info.files or {}
    head = f"{take.folder.parent.name.removesuffix(PROJECT_SUFFIX)}.preview"
    mine = (take.folder / name for name in sorted(names) if name.startswith(head))
    return [path for path in mine if path.suffix.lower() in CONTAINERS and is_there(path)]


def _copies(project: TakeFolder, take: Take, outputs: Outputs) -> Iterator[_Copy]:
    name = project.name
    if "midi" in outputs.files:
        tempo = f" {version_of(take.midi, name).bpm:.2f} BPM" if outputs.host == "garageband" else ""
        yield _Copy(take.midi, f"{name}{tempo}.mid", _made(take, take.midi))
    if "score" in outputs.files:
        yield _Copy(take.folder / SCORE_NAME, f"{name}.score.json", _made(take, take.folder / SCORE_NAME))
    if "preview" in outputs.files:
        yield from (_Copy(path, path.name, _made(take, path)) for path in previews_of(take))


def _made(take: Take, path: Path) -> str:
    """Return the SHA-256 with which a file was written into a take; empty where it was not.

    In a take of before that was recorded, a file counts that is what its name says.
    """
    if take.info.files is not None:
        return take.info.files.get(path.name, "")
    try:
        read_score(path) if path.name == SCORE_NAME else read_midi(path)
    except InputError:
        return ""
    return _content(path)


def _content(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return ""


def _put(project: TakeFolder, each: _Copy, target: Path, *, parents: bool) -> Path:
    """Copy a file of a take to a session; where somebody edited what is there, under a further name. Returns that."""

    def copy(temporary: Path) -> None:
        digest = hashlib.sha256()
        with opened(each.source) as source, temporary.open("wb") as made:
            while piece := source.read(PIECE):
                digest.update(piece)
                made.write(piece)
        if digest.hexdigest() != each.sha256:
            raise OSError(None, f"{each.source} changed meanwhile")

    if is_there(target) and _is_ours(project, target):
        if _content(target) != each.sha256:
            with complete_path(target, parents=parents) as temporary:
                copy(temporary)
        return target
    for name in numbered(target):
        if not is_there(name):
            break
        if _content(name) == each.sha256:
            return name
    return new_file(numbered(target), copy, parents=parents)


def _is_ours(project: TakeFolder, path: Path) -> bool:
    """Return whether a file is a copy of some take's."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        size = path.stat().st_size
        there = [file for file in project.folder.glob(f"take */*{path.suffix}") if os.lstat(file).st_size == size]
        return bool(there) and sha256_of(path) in {_content(file) for file in there}
    except OSError:
        return False
