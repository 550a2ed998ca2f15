"""`cmt-bridge regenerate`: bars of a score anew, every other note as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmt_bridge.cli.common import json_option, print_outcome, stages
from cmt_bridge.cli.export import project_option, wanted, with_projects
from cmt_bridge.settings import PRECISIONS
from cmt_bridge.verbs.regenerate import USUAL_CANDIDATES

__all__ = ["regenerate"]


@click.command(short_help="Compose some bars of the current take anew.")
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--bars", help="Bars as a DAW counts them, the last included: 4-8, or 4-8,13.")
@click.option("--from", "start", help="Instead: from the bar that holds this second, or from this marker …")
@click.option("--to", "end", help="… to the one that holds this second, or up to this marker.")
@click.option("--marker", help='Instead: from this marker, such as "Section B", to the next of its kind.')
@click.option("--tracks", default="", help="Only these tracks, such as drums,bass; all that the score asked for else.")
@click.option("--lock", default="", help="All tracks but these.")
@click.option("--keep", type=click.Choice(["rhythm", "pitches"]), help="Keep this of the bars as it was.")
@click.option(
    "--base",
    type=click.Path(path_type=Path),
    help="A MIDI file exported from your DAW: what it holds is what there is.",
)
@click.option("-n", "--variations", type=click.IntRange(1, 64), default=1, show_default=True, help="Takes to keep.")
@click.option(
    "--candidates",
    type=click.IntRange(1, 64),
    default=USUAL_CANDIDATES,
    show_default=True,
    help="How many to compose; the takes kept are those that lead best into what follows.",
)
@click.option("--seed", type=int, help="Seed of the first candidate; a new one else.")
@click.option("--control", type=float, help="How closely to follow the picture, 0 to 1; as the score did else.")
@click.option("--density", type=int, default=0, help="Onsets per bar more (2) or less (-2) than the picture asks for.")
@click.option("--temperature", type=float, help="How adventurous; as for the score else.")
@click.option("--model", help="Name of a model, or path of its weights; the one that made the score else.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Arithmetic of the weights; int8 is fastest.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write, instead of the next take.")
@project_option
@json_option
def regenerate(
    video: Path, tracks: str, lock: str, keep: str | None, projects: str, as_json: bool, **given: Any
) -> None:
    """Compose bars of VIDEO anew: a scored video, its .cmt folder, one of its takes, or a score folder.

    Every other note stays as it is. The result is the next take, and the current one; `cmt-bridge undo` goes back. The
    new bars hear what comes before and after them, and follow the picture as the score does.

    With --base, every event of the MIDI file outside of the bars and tracks stays as it is, controllers, tempos and
    further tracks too.

    \b
    Examples:
      cmt-bridge regenerate clip.mp4 --bars 4-8
      cmt-bridge regenerate clip.mp4 --bars 4-8 --tracks drums,bass -n 3
      cmt-bridge regenerate clip.mp4 --from 12.5 --to "Cut 3" --lock piano --density -3
      cmt-bridge regenerate clip.mp4 --marker "Section B" --keep rhythm
      cmt-bridge regenerate clip.mp4 --bars 4-8 --base edited.mid
    """
    import secrets

    from cmt_bridge.cli.carry import carried
    from cmt_bridge.verbs.regenerate import RegenerateRequest

    asked = wanted(projects, given.pop("project_start"), given.pop("project_rate"), given["output"])
    if given["seed"] is None:
        given["seed"] = secrets.randbelow(2**31)
    request = RegenerateRequest(video, tracks=_names(tracks), lock=_names(lock), keep=keep or "", **given)
    with stages() as told:
        outcome = with_projects(carried(request, told), asked)
    print_outcome(outcome, as_json, ["" for _ in outcome.takes], video)


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))
