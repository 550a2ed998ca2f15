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
    """Stop what `install` had started for FOLDER, and remove what it wrote.

    The videos and their scores stay, and so does what the daemon noted about FOLDER.

    \b
    Examples:
      cmt-bridge service remove ~/Videos
    """
    from cmt_bridge.service.client import Client
    from cmt_bridge.service.instance import instances
    from cmt_bridge.service.unit import unit_for

    real = folder.resolve()
    unit = unit_for(folder)

    def still() -> None:
        for instance in instances():
            if instance.folder == real:
                Client(instance).stop()

    left = unit.remove(still)
    if as_json:
        print_json({"unit": str(unit.path), "left": [str(path) for path in left]})
        return
    click.echo(unit.path)
    for path in left:
        talk(f"left: {path}, which is yours")
    for instance in instances():
        if instance.folder == real:
            talk(f"{real} is still watched by process {instance.pid}: cmt-bridge daemon stop {real}")
