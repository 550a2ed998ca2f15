"""`cmt-bridge regenerate`: bars of a score anew, every other note as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmt_bridge.cli.common import json_option, print_outcome, stages
from cmt_bridge.cli.export import project_option, wanted, with_projects
from cmt_bridge.cli.settings import chosen, setting_options

__all__ = ["regenerate"]


@click.command(short_help="Compose some bars of the current take anew.")
@click.argument("video", type=click.Path(path_type=Path))
@setting_options("regenerate")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write, instead of the next take.")
@project_option
@json_option
def regenerate(video: Path, output: Path | None, projects: str, as_json: bool, **given: Any) -> None:
    """Compose bars of VIDEO anew: a scored video, its .cmt folder, one of its takes, or a score folder.

    Every other note stays as it is. The result is the next take, and the current one; `cmt-bridge undo` goes back. The
    new bars hear what comes before and after them, and follow the picture as the score does.

    With --base, every event of the MIDI file outside of the bars and tracks stays as it is, controllers, tempos and
    further tracks too.

    \b
    Examples:
      cmt-bridge regenerate clip.mp4 --bars 4-8
      cmt-bridge regenerate clip.mp4 --bars 4-8 --tracks drums,bass -n 3
      cmt-bridge regenerate clip.mp4 --from 5 --to "Cut 3" --density -3
      cmt-bridge regenerate clip.mp4 --marker "Section B" --keep rhythm
      cmt-bridge regenerate clip.mp4 --bars 4-8 --base edited.mid
    """
    import secrets

    from cmt_bridge.cli.carry import carried
    from cmt_bridge.scoring.regenerate import RegenerateRequest

    asked = wanted(projects, given.pop("project_start"), given.pop("project_rate"), output)
    fields = {"seed": secrets.randbelow(2**31), **chosen("regenerate", given)}
    request = RegenerateRequest.from_json({"path": video, "output": output, **fields})
    with stages() as told:
        outcome = with_projects(carried(request, told), asked)
    print_outcome(outcome, as_json, ["" for _ in outcome.takes], video)
