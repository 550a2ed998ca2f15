"""Which project a path means, and where a new one goes."""

from __future__ import annotations

import os
from pathlib import Path

from cmt_bridge.core.files import MOST_BYTES, fresh_path, is_there, sha256_of, short
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import ScoreError
from cmt_bridge.takes.take_folder import PROJECT, SUFFIX, TakeFolder

__all__ = ["find_take_folder", "folder_for_new", "require_take_folder", "take_folders_in"]


@takes_paths
def take_folders_in(folder: Path) -> list[TakeFolder]:
    """Return the projects that lie in a folder."""
    return [TakeFolder(path) for path in sorted(folder.glob(f"*{SUFFIX}")) if is_there(path / PROJECT)]


@takes_paths
def find_take_folder(path: Path, *, sha256: str = "") -> TakeFolder | None:
    """Return the project that a path means: the folder itself, something in it, or the video it is for; else None.

    A video is known by its name, and by its content after it was renamed. `sha256` is that content where the caller
    knows it; else the file is read.
    """
    path = path.absolute()
    for folder in (path, *path.parents):
        if folder.name.endswith(SUFFIX) and is_there(folder / PROJECT):
            return TakeFolder(folder)
    if not path.is_file():
        return None
    here = [TakeFolder(folder) for folder in _named(path) if is_there(folder / PROJECT)]
    for project in here:
        if any(video["name"] == path.name for video in project.videos()):
            return project
    others = take_folders_in(path.parent)
    if not others:
        return None
    sha256 = sha256 or sha256_of(path)
    return next((each for each in others if sha256 in _contents(each)), None)


def _contents(project: TakeFolder) -> list[str]:
    """Return the SHA-256 of a project's videos; none of one that is damaged, which is no reason to fail for another."""
    try:
        return [video["sha256"] for video in project.videos()]
    except ScoreError:
        return []


@takes_paths
def require_take_folder(path: Path) -> TakeFolder:
    """Return the project that a path means. Raises `ScoreError` where it has none, with what to do about it."""
    project = find_take_folder(path)
    if project is not None:
        return project
    if path.is_file():
        raise ScoreError(f"{path} has no takes yet.", hint=f"Make one: cmt-bridge score {path.name!r}.")
    what = f"{path} has no takes." if path.exists() else f"There is no {path}."
    raise ScoreError(what, hint="Name a video that was scored, or its .cmt folder.")


def _named(video: Path) -> list[Path]:
    names = dict.fromkeys((short(video.stem), video.stem, short(video.name), video.name))
    there = [f"{name}{SUFFIX}" for name in names]
    return [video.with_name(name) for name in there if len(os.fsencode(name)) <= MOST_BYTES]


@takes_paths
def folder_for_new(path: Path, title: str, home: Path | None = None) -> Path:
    """Return the folder that a new project for a file goes to: beside it, or in `home`."""
    home = path.absolute().parent if home is None else home.absolute()
    full = short("".join(letter if letter.isprintable() else "_" for letter in path.name))
    candidates = [home / f"{title}{SUFFIX}", home / f"{full}{SUFFIX}"]
    return next((each for each in candidates if not is_there(each)), fresh_path(candidates[1]))
