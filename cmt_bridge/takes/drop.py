"""Where a session wants the current take: a copy of its files, and nobody's edited ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cmt_bridge.config import Outputs
from cmt_bridge.core.files import complete_path, fresh_path, sha256_of
from cmt_bridge.outputs.scorefile import SCORE_NAME
from cmt_bridge.projects.arrangement import version_of
from cmt_bridge.takes.project import Project
from cmt_bridge.takes.take import Take

__all__ = ["Dropped", "drop", "drop_folder"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was dropped for a session: the files written, and those that others edited and that were left alone."""

    written: tuple[Path, ...] = ()
    left: tuple[Path, ...] = ()


def drop(project: Project, outputs: Outputs) -> Dropped:
    """Copy the current take's files to where a session wants them.

    A file there is replaced only while it is a copy of some take; an edited one is left alone, and the take goes
    beside it under its own number.
    """
    if not outputs.drop:
        return Dropped()
    folder = drop_folder(project, outputs)
    take = project.current()
    written, left = [], []
    for source, name in _droppings(project, take, outputs):
        target = folder / name
        if target.exists() and not _is_ours(project, target, source.suffix):
            left.append(target)
            target = target.with_name(f"{target.stem} take {take.number}{target.suffix}")
            if target.exists() and not _is_ours(project, target, source.suffix):
                target = fresh_path(target)
        if not _same(source, target):
            with complete_path(target, parents=folder != project.folder.parent) as temporary:
                shutil.copyfile(source, temporary)
        written.append(target)
    return Dropped(tuple(written), tuple(left))


def drop_folder(project: Project, outputs: Outputs) -> Path:
    """Give the folder where files are dropped; it is the clip's own where `drop` is "."."""
    return project.folder.parent / Path(outputs.drop).expanduser()


def _droppings(project: Project, take: Take, outputs: Outputs) -> Iterator[tuple[Path, str]]:
    name = project.name
    if "midi" in outputs.files:
        tempo = f" {version_of(take.midi, name).bpm:.2f} BPM" if outputs.host == "garageband" else ""
        yield take.midi, f"{name}{tempo}.mid"
    if "score" in outputs.files:
        yield take.folder / SCORE_NAME, f"{name}.score.json"
    if "preview" in outputs.files:
        yield from ((path, path.name) for path in sorted(take.folder.glob("*.preview.*")))


def _is_ours(project: Project, path: Path, suffix: str) -> bool:
    """Tell whether a file is a copy of some take's."""
    try:
        size = path.stat().st_size
        ours = [f for f in project.folder.glob(f"take */*{suffix}") if f.stat().st_size == size]
        return bool(ours) and sha256_of(path) in {sha256_of(file) for file in ours}
    except OSError:
        return False


def _same(source: Path, target: Path) -> bool:
    return (
        target.is_file() and source.stat().st_size == target.stat().st_size and sha256_of(source) == sha256_of(target)
    )
