"""`cmt-bridge service`: let the system start a daemon when you log in."""

from __future__ import annotations

from pathlib import Path

import click

from cmt_bridge.cli.common import json_option, print_json, talk
from cmt_bridge.cli.group import Group

__all__ = ["service"]

FOLDER = click.argument("folder", type=click.Path(path_type=Path), default=".")


@click.group(cls=Group)
def service() -> None:
    """Watch folders whenever you are logged in."""


@service.command(short_help="Have a folder watched whenever you log in.")
@FOLDER
@json_option
def install(folder: Path, as_json: bool) -> None:
    """Write a systemd user unit or a launchd agent that watches FOLDER, and say how to begin.

    \b
    Examples:
      cmt-bridge service install ~/Videos
    """
    from cmt_bridge.errors import UsageError
    from cmt_bridge.service.unit import unit_for

    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", hint="Give the folder whose videos shall be scored.")
    unit = unit_for(folder)
    unit.install()
    if as_json:
        print_json({"unit": str(unit.path), "begin": unit.begin, "end": unit.end})
        return
    click.echo(unit.path)
    talk(f"begin: {unit.begin}")


@service.command(short_help="Remove what `install` wrote.")
@FOLDER
@json_option
def remove(folder: Path, as_json: bool) -> None:
    """Remove what `install` wrote for FOLDER, and say how to end what it started.

    \b
    Examples:
      cmt-bridge service remove ~/Videos
    """
    from cmt_bridge.service.unit import unit_for

    unit = unit_for(folder)
    unit.remove()
    if as_json:
        print_json({"unit": str(unit.path), "end": unit.end})
        return
    click.echo(unit.path)
    talk(f"end: {unit.end}")
