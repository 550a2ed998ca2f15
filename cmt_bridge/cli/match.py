"""`cmt-bridge match`: which music at hand fits a video best?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmt_bridge.cli.common import json_option, print_json, progress, talk

if TYPE_CHECKING:
    from cmt_bridge.scoring.rank import Ranking

__all__ = ["match"]


@click.command(short_help="Find which MIDI files at hand fit a video best.")
@click.argument("video", type=click.Path(path_type=Path))
@click.argument("library", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="How many to show.")
@json_option
def match(video: Path, library: tuple[Path, ...], top: int, as_json: bool) -> None:
    """Rank the music of LIBRARY by how well it fits VIDEO (the paper's Eq. 16).

    VIDEO is a video, a metadata.json or a video's .npz; LIBRARY are MIDI files, folders of them (searched to the
    bottom) or song .npz files. Music and video are compared bar by bar, at sixteenths, whatever the tempo of the music:
    density with motion, and the size of the largest chord with the strength of visual beats. Matchness is 1 / distance;
    for a perfect match it is infinite, in JSON null.

    \b
    Examples:
      cmt-bridge match clip.mp4 ~/midi
      cmt-bridge match metadata.json songs.npz --top 3 --json
    """
    from cmt_bridge.scoring.pipeline import look_at
    from cmt_bridge.scoring.rank import rank

    with progress("Measuring") as done:
        control = look_at(video, progress=done).control
    with progress("Comparing") as done:
        ranking = rank(control, library, on_progress=done, on_skip=lambda each: talk(f"skipped: {each.reason}"))
    if as_json:
        print_json(_as_json(video, ranking, top))
        return
    click.echo("rank  matchness  distance  bars  music")
    for place, each in enumerate(ranking.songs[:top], 1):
        label = f"{each.path} [{each.song}]" if each.path.suffix.lower() == ".npz" else str(each.path)
        found = each.match
        click.echo(f"{place:4}  {found.matchness:9.4f}  {found.distance:8.4f}  {found.bars:4}  {label}")


def _as_json(video: Path, ranking: Ranking, top: int) -> dict[str, Any]:
    return {
        "video": str(video),
        "bars": ranking.bars,
        "compared": len(ranking.songs),
        "matches": [
            {
                "rank": place,
                "path": str(each.path),
                "song": each.song,
                "matchness": each.match.matchness if math.isfinite(each.match.matchness) else None,
                "distance": each.match.distance,
                "bars": each.match.bars,
            }
            for place, each in enumerate(ranking.songs[:top], 1)
        ],
        "skipped": [{"path": str(each.path), "reason": each.reason} for each in ranking.skipped],
    }
