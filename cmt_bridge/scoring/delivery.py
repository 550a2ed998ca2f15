"""Deliver the takes of a project: previews, and the files of the current take where a session wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cmt_bridge.config import read_config
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import CmtBridgeError, MissingError, UsageError, VideoError
from cmt_bridge.scoring.outcome import Outcome, summary

if TYPE_CHECKING:
    from pathlib import Path

    from cmt_bridge.config import Outputs
    from cmt_bridge.takes.take import Take
    from cmt_bridge.takes.take_folder import TakeFolder

__all__ = ["delivered", "dropped", "placed"]


@takes_paths
def placed(project: Path) -> Outputs:
    """Return what is dropped for a project folder, and where. Raises `UsageError` where it may not go there.

    So that it is refused before anything is done.
    """
    home = project.absolute().parent
    outputs = read_config(home).outputs
    if outputs.drop:
        outputs.folder_from(home)
    return outputs


def delivered(
    project: TakeFolder,
    takes: list[Take],
    outputs: Outputs,
    video: Path | None,
    *,
    notes: list[str],
    seconds: Mapping[str, float],
    more: Mapping[str, Any] | None = None,
) -> Outcome:
    """Deliver takes that are written, and return what the request came to; without a `video` there are no previews."""
    if "preview" in outputs.files and video is not None:
        notes = [*notes, *(note for take in takes for note in _previewed(project, take, video))]
    files, left = dropped(project, outputs)
    current = project.current().number
    made = [
        summary(take.score(), take.folder, take.info.seed, take.number) | {"current": take.number == current}
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


def _previewed(project: TakeFolder, take: Take, video: Path) -> list[str]:
    """Put the music of a take under its video, once; return a sentence where that cannot be."""
    from cmt_bridge.core.files import inside
    from cmt_bridge.midi.file import read_midi_bytes
    from cmt_bridge.scoring.preview import PreviewOptions, under_film
    from cmt_bridge.takes.publish import previews_of

    if previews_of(take):
        return []
    if video.is_symlink() and not inside(video, video.parent):  # a copy of it would be where its owner did not put it
        return [f"No preview: {video} is a link to another folder. Make one: cmt-bridge preview {video.name!r}."]
    try:
        target = take.folder / f"{project.name}.preview"
        made = under_film(read_midi_bytes(take.midi), video, target, PreviewOptions(), progress=lambda _: None)
        project.record(take, made.path)
    except (MissingError, VideoError) as error:
        return [f"No preview: {error}"]
    return list(made.notes)


def dropped(project: TakeFolder, outputs: Outputs) -> tuple[list[str], list[str]]:
    """Drop the files of the current take; return them, and sentences about those that were left alone."""
    from cmt_bridge.scoring.export import export
    from cmt_bridge.takes.publish import publish, publish_folder

    try:
        found = publish(project, outputs)
    except UsageError as error:  # whoever can refuses it before; now the take is there, which is what was asked for
        return [], [str(error)]
    notes = [
        f"{path} was changed by somebody, so it is left alone. To go on from it: regenerate --base {path.name!r}."
        for path in found.left
    ]
    notes += [
        f"{path} is not as it was written into the take, so it is not put anywhere. "
        "To go on from it, copy it elsewhere and name it with regenerate --base."
        for path in found.refused
    ]
    written = [str(path) for path in found.written]
    if outputs.drop and outputs.projects:
        try:
            made = export(
                project.folder,
                outputs.projects,
                folder=publish_folder(project, outputs),
                start=outputs.start,
                rate=outputs.rate,
            )
            written += [str(each.path) for each in made]
            notes += dict.fromkeys(note for each in made for note in each.notes)
        except CmtBridgeError as error:  # the take is there, which is what was asked for
            notes.append(f"No project: {error}")
    return written, notes
