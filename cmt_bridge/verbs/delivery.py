"""Deliver the takes of a project: previews, and the files of the current take where a session wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cmt_bridge.errors import CmtBridgeError, MissingError, VideoError
from cmt_bridge.verbs.outcome import Outcome, summary

if TYPE_CHECKING:
    from pathlib import Path

    from cmt_bridge.config import Outputs
    from cmt_bridge.takes.project import Project
    from cmt_bridge.takes.take import Take

__all__ = ["delivered", "dropped"]


def delivered(
    project: Project,
    takes: list[Take],
    outputs: Outputs,
    video: Path | None,
    *,
    notes: list[str],
    seconds: Mapping[str, float],
    more: Mapping[str, Any] | None = None,
) -> Outcome:
    """Deliver takes that are written, and give what the request came to; without a `video` there are no previews."""
    if "preview" in outputs.files and video is not None:
        notes = [*notes, *(note for take in takes for note in _previewed(take, video, project.name))]
    files, left = dropped(project, outputs)
    current = project.current().number
    made = [
        summary(take.score(), take.folder, take.facts.seed, take.number) | {"current": take.number == current}
        for take in takes
    ]
    return Outcome(
        made,
        project=str(project.folder),
        dropped=files,
        notes=[*notes, *left],
        seconds=dict(seconds),
        more=dict(more or {}),
    )


def _previewed(take: Take, video: Path, name: str) -> list[str]:
    """Put the music of a take under its video, once; return a sentence where that cannot be."""
    from cmt_bridge.verbs.preview import PreviewOptions, under_film

    if any(take.folder.glob("*.preview.*")):
        return []
    try:
        target = take.folder / f"{name}.preview"
        made = under_film(take.midi.read_bytes(), video, target, PreviewOptions(), progress=lambda _: None)
    except (MissingError, VideoError) as error:
        return [f"No preview: {error}"]
    return list(made.notes)


def dropped(project: Project, outputs: Outputs) -> tuple[list[str], list[str]]:
    """Drop the files of the current take; give them, and sentences about those that were left alone."""
    from cmt_bridge.takes.drop import drop, drop_folder
    from cmt_bridge.verbs.export import export

    found = drop(project, outputs)
    notes = [
        f"{path} was changed by somebody, so it is left alone. To go on from it: regenerate --base {path.name!r}."
        for path in found.left
    ]
    written = [str(path) for path in found.written]
    if outputs.drop and outputs.projects:
        try:
            made = export(project.folder, outputs.projects, folder=drop_folder(project, outputs))
            written += [str(each.path) for each in made]
        except CmtBridgeError as error:  # the take is there, which is what was asked for
            notes.append(f"No project: {error}")
    return written, notes
