"""`cmt-bridge ports`: what music can be played through here."""

from __future__ import annotations

import click

from cmt_bridge.cli.common import json_option, print_json

__all__ = ["ports"]


@click.command(short_help="List what music can be played through here.")
@json_option
def ports(as_json: bool) -> None:
    """List what `stream` can play through and follow here, and what is missing, with its remedy.

    The one marked with * is used where nothing else is said.
    """
    from cmt_bridge.player.ports import best, survey

    systems = survey()
    chosen = best(systems)
    if as_json:
        print_json({"used": chosen.name if chosen else None, "systems": [system.to_json() for system in systems]})
        return
    for system in systems:
        mark = "*" if system is chosen else " "
        said = [system.detail, system.remedy]
        click.echo(
            f"{mark} {system.title:9} {'there  ' if system.there else 'missing'}  {' '.join(filter(None, said))}"
        )
        for option, names in (("--to", system.to), ("--from", system.sources)):
            for name in names:
                click.echo(f"      {option:7} {name}")
