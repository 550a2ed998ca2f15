"""List, choose and compare the takes of a project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cmt_bridge.errors import ScoreError, UsageError
from cmt_bridge.verbs.delivery import dropped, placed

if TYPE_CHECKING:
    from cmt_bridge.takes.project import Project
    from cmt_bridge.takes.take import Take

__all__ = ["CHOICES", "choose", "compare", "list_takes"]

CHOICES: Final = ("choose", "accept", "reject", "undo", "redo")


def list_takes(path: Path) -> dict[str, Any]:
    """Give the takes of what a path means, a video or its project, as data. Raises `ScoreError` where it has none."""
    project = _project(path)
    history, current = project.history(), project.current()
    return {
        "project": str(project.folder),
        "current": current.number,
        "undo": history.position > 0,
        "redo": history.position + 1 < len(history.choices),
        "takes": [
            {
                "take": take.number,
                "folder": str(take.folder),
                "mark": history.marks.get(take.number, ""),
                **{name: value for name, value in take.facts.to_json().items() if not name.startswith("format")},
            }
            for take in project.takes()
        ],
    }


def choose(path: Path, verb: str, number: int | None = None) -> dict[str, Any]:
    """Carry out one of `CHOICES`: give the take that is current then, and drop its files.

    Raises `ScoreError` where the path has no takes, `UsageError` where the choice cannot be made.
    """
    project = _project(path)
    if verb in ("undo", "redo") and number is not None:
        raise UsageError(f"{verb} takes no number of a take.", hint="Use `choose` to go to a take.")
    if verb == "choose" and number is None:
        raise UsageError("Which take?", hint="Give its number; `cmt-bridge takes` lists them.")
    verbs: dict[str, Callable[[], Take]] = {
        "choose": lambda: project.choose(number or 0),
        "accept": lambda: project.accept(number),
        "reject": lambda: project.reject(number),
        "undo": project.undo,
        "redo": project.redo,
    }
    outputs = placed(project.folder)
    take = verbs[verb]()
    files, notes = dropped(project, outputs)
    return {
        "project": str(project.folder),
        "current": take.number,
        "folder": str(take.folder),
        "mark": project.history().marks.get(take.number, ""),
        "dropped": files,
        "notes": notes,
    }


def compare(path: Path, first: int, second: int) -> dict[str, Any]:
    """Give which bars of which tracks two takes differ in, and in what else, as their MIDI files say it.

    Raises `UsageError` where there is no such take, `ScoreError`, `MidiError` where one cannot be read.
    """
    from cmt_bridge.takes.difference import difference

    project = _project(path)
    before, after = project.take(first), project.take(second)
    found = difference(before, after)
    return {
        "project": str(project.folder),
        "first": first,
        "second": second,
        "tempo": list(found.tempo),
        "bars": [take.score().bars for take in (before, after)],
        "tracks": [
            {**asdict(each), "bars": list(each.bars), "also": {kind: list(bars) for kind, bars in each.also.items()}}
            for each in found.tracks
        ],
        "also": {kind: list(bars) for kind, bars in found.also.items()},
    }


def _project(path: Path) -> Project:
    from cmt_bridge.takes.whereabouts import project_of

    project = project_of(path)
    if project is None:
        what = f"{path} has no takes." if path.exists() else f"There is no {path}."
        raise ScoreError(what, hint="Name a video that was scored, or its .cmt folder.")
    return project
