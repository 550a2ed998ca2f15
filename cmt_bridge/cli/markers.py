"""`cmt-bridge markers`: the moments of a film that have names."""

from __future__ import annotations

from pathlib import Path

import click

from cmt_bridge.cli.common import clock, json_option, print_json, talk

__all__ = ["markers"]


@click.command(short_help="List sections, cuts and hits by name and bar.")
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--take", type=click.IntRange(1), help="The take whose markers to list, instead of the current one.")
@json_option
def markers(video: Path, take: int | None, as_json: bool) -> None:
    """List the markers of VIDEO, a scored video or its .cmt folder: sections, cuts and strong visual beats.

    `regenerate` takes their names: from this marker, up to that one.

    \b
    Examples:
      cmt-bridge markers clip.mp4
      cmt-bridge regenerate clip.mp4 --from "Cut 1" --to "Cut 3"
    """
    from cmt_bridge.scoring.choose import list_markers

    found = list_markers(video, take)
    if as_json:
        print_json(found)
        return
    for each in found["markers"]:
        place = f"{each['bar']}|{each['beat']}"
        click.echo(f"{clock(each['seconds']):>10}  {place:>6}  {each['kind']:7}  {each['name']}")
    if not found["markers"]:
        talk(f"take {found['take']} has no markers")
