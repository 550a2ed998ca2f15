"""List, choose and compare the takes of a project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import ScoreError, UsageError
from cmt_bridge.scoring.delivery import dropped, placed

if TYPE_CHECKING:
    from cmt_bridge.takes.take import Take

__all__ = ["CHOICES", "choose", "compare", "list_markers", "list_takes"]

CHOICES: Final = ("choose", "accept", "reject", "undo", "redo")


@takes_paths
def list_takes(path: Path, *, figures: bool = False) -> dict[str, Any]:
    """Return the takes of what a path means, a video or its project, as data; with `figures` what is in each of them.

    Raises `ScoreError` where it has none.
    """
    from cmt_bridge.takes.locate import require_take_folder

    project = require_take_folder(path)
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
                **{name: value for name, value in take.info.to_json().items() if not name.startswith("format")},
                **(_figures(take) if figures else {}),
            }
            for take in project.takes()
        ],
    }


def _figures(take: Take) -> dict[str, Any]:
    """Return what is in a take, and the settings it differs by from the usual ones; nothing where it is damaged."""
    from cmt_bridge.model.registry import DEFAULT
    from cmt_bridge.scoring.outcome import asked_of, summary
    from cmt_bridge.settings import PRECISIONS, differing

    try:
        score = take.score()
    except ScoreError as error:
        return {"damaged": str(error)}
    options = asked_of(score)
    settings = dict(differing(options)) if options is not None else {}
    made, precision = score.provenance.model, score.provenance.options.get("precision", PRECISIONS[0])
    settings |= {"model": made} if made not in ("", DEFAULT) else {}
    settings |= {"precision": str(precision)} if precision != PRECISIONS[0] else {}
    asked = take.info.request
    settings |= {name: str(asked[name]) for name in ("tempo", "tempo_range", "cut_sensitivity") if name in asked}
    figures = summary(score, take.folder, take.info.seed)
    wanted = ("tempo", "bars", "duration", "notes", "heard_key", "asked_key")
    return {name: figures[name] for name in wanted} | {"settings": settings}


@takes_paths
def choose(path: Path, verb: str, number: int | None = None, *, step: int = 0) -> dict[str, Any]:
    """Return the take that is current after one of `CHOICES`, and publish its files.

    `number` names a take. `step` is for `choose` alone: so many takes after that one, or before it where negative; it
    starts at the current take where no number is given. Raises `ScoreError` where the path has no takes, `UsageError`
    where the choice cannot be made.
    """
    from cmt_bridge.takes.locate import require_take_folder

    project = require_take_folder(path)
    if verb in ("undo", "redo") and number is not None:
        raise UsageError(f"{verb} takes no number of a take.", hint="Use `choose` to go to a take.")
    if step and verb != "choose":
        raise UsageError(f"{verb} takes no step.", hint="Use `choose` to go to the next take or the one before.")
    if verb == "choose" and number is None and not step:
        raise UsageError("Which take?", hint="Give its number; `cmt-bridge takes` lists them.")
    verbs: dict[str, Callable[[], Take]] = {
        "choose": lambda: project.choose_neighbor(step, number) if step else project.choose(number or 0),
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


@takes_paths
def compare(path: Path, first: int, second: int) -> dict[str, Any]:
    """Return which bars of which tracks two takes differ in, and in what else, as their MIDI files say it.

    Raises `UsageError` where there is no such take, `ScoreError`, `MidiError` where one cannot be read.
    """
    from cmt_bridge.takes.diff import diff
    from cmt_bridge.takes.locate import require_take_folder

    project = require_take_folder(path)
    before, after = project.take(first), project.take(second)
    found = diff(before, after)
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


@takes_paths
def list_markers(path: Path, number: int | None = None) -> dict[str, Any]:
    """Return the markers of a take, the current one where none is named, as data; bars and beats count from 1.

    Raises `ScoreError` where the path has no takes, `UsageError` where there is no such take.
    """
    from cmt_bridge.core.tempo import TICKS_PER_BAR, TICKS_PER_QUARTER
    from cmt_bridge.takes.locate import require_take_folder

    project = require_take_folder(path)
    take = project.current() if number is None else project.take(number)
    score = take.score()
    found = []
    for marker in sorted(score.markers):
        tick = score.tempo_map.ticks(marker.seconds)
        found.append(
            {
                "name": marker.text,
                "kind": marker.kind,
                "seconds": marker.seconds,
                "bar": int(tick // TICKS_PER_BAR) + 1,
                "beat": int(tick % TICKS_PER_BAR // TICKS_PER_QUARTER) + 1,
            }
        )
    return {"project": str(project.folder), "take": take.number, "markers": found}
