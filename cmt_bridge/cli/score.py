"""`cmt-bridge score`: from a video to a score in one command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from cmt_bridge.cli.common import json_option, print_outcome, stages
from cmt_bridge.cli.export import project_option, wanted, with_projects
from cmt_bridge.cli.settings import setting_options, settings_of

__all__ = ["score"]


@click.command(short_help="Compose music for a clip: the next take.")
@click.argument("video", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write, instead of the next take.")
@project_option
@setting_options("score")
@json_option
def score(video: Path, output: Path | None, projects: str, as_json: bool, **given: Any) -> None:
    """Compose music for VIDEO: the next take in NAME.cmt beside it, and NAME.mid for your session.

    VIDEO is a clip, a metadata.json or a video's .npz of the original CMT. The music begins with the picture, follows
    its motion, visual beats and length, and ends with it. No take is ever overwritten; see `cmt-bridge takes`.

    Controls take one value, or values for bars counted from 1: --control 1-4:1,9:0.3 (others keep 0.7). What is not
    said here is as cmt-bridge.toml in the clip's folder, or above it, says.

    \b
    Examples:
      cmt-bridge score clip.mp4
      cmt-bridge score clip.mp4 -n 5 --seed 7 --instruments piano,strings
      cmt-bridge score clip.mp4 --project reaper
      cmt-bridge score clip.mp4 --tempo 96 --control 1 -o music
    """
    from cmt_bridge.cli.carry import carried
    from cmt_bridge.config import read_config
    from cmt_bridge.errors import UsageError
    from cmt_bridge.scoring.score import ScoreRequest, check_settings

    if output is not None and output.name in ("", ".."):
        raise UsageError(
            f"-o needs the name of a folder to make, not {str(output)!r}.", hint="Give one such as -o music."
        )
    asked = wanted(projects, given.pop("project_start"), given.pop("project_rate"), output)
    settings = settings_of(given)
    check_settings({**read_config(video.absolute().parent).score, **settings})  # before anything is begun
    with stages() as told:
        outcome = with_projects(carried(ScoreRequest(video, settings, output, _elsewhere(video)), told), asked)
    print_outcome(outcome, as_json, [_sentence(take) for take in outcome.takes], video)


def _elsewhere(video: Path) -> Path | None:
    """Give this folder for the score of a video beside which nothing can be written, as on a camera's card."""
    return None if os.access(video.absolute().parent, os.W_OK) else Path.cwd()


def _sentence(take: dict[str, Any]) -> str:
    from cmt_bridge.core.key import key_title

    notes = ", ".join(f"{name} {count}" for name, count in take["notes"].items() if count or name in take["asked"])
    key = f" in {key_title(take['heard_key'])}" if take["heard_key"] else ""
    return f"{take['bars']} bars at {take['tempo']:.2f} BPM{key}, seed {take['seed']}\n  notes: {notes}"
