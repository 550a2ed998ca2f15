"""`cmt-bridge hosts`: scripts inside of DAWs."""

from __future__ import annotations

from pathlib import Path

import click

from cmt_bridge.cli.common import json_option, print_json, talk
from cmt_bridge.cli.group import Group

__all__ = ["hosts"]

HOST = click.argument("host")
FOLDER = click.option(
    "--folder", type=click.Path(path_type=Path), help="Where the host looks for scripts, if elsewhere."
)


@click.group(cls=Group)
def hosts() -> None:
    """Put cmt-bridge's verbs inside of your DAW."""


@hosts.command("list", short_help="List the DAWs, and what is installed for each.")
@json_option
def list_(as_json: bool) -> None:
    """List the DAWs, what there is for each, and what is installed.

    \b
    Examples:
      cmt-bridge hosts list
    """
    from cmt_bridge.scoring.hosts import list_hosts

    found = list_hosts()
    if as_json:
        print_json({"hosts": found})
        return
    for each in found:
        here = "scripts" if each["scripts"] else "by files and ports"
        state = f"installed in {each['folder']}" if each["installed"] else here
        click.echo(f"{each['host']:<11} {state}")
    talk("how to go about it in each: cmt-bridge hosts show HOST")


@hosts.command(short_help="Show the page that tells all of a DAW.")
@HOST
@json_option
def show(host: str, as_json: bool) -> None:
    """Show the page of HOST: how to open, play, follow and compose there, and what of it was tried.

    \b
    Examples:
      cmt-bridge hosts show reaper
    """
    from cmt_bridge.errors import MissingError
    from cmt_bridge.scoring.hosts import host_of, page_of

    page = page_of(host_of(host))
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingError(f"{page} is missing.", hint="Install cmt-bridge anew.") from error
    if as_json:
        print_json({"host": host, "page": str(page), "text": text})
    else:
        click.echo_via_pager(text)


@hosts.command(short_help="Copy the scripts for a DAW to where it looks.")
@HOST
@FOLDER
@json_option
def install(host: str, folder: Path | None, as_json: bool) -> None:
    """Copy the scripts for HOST to where it looks for them, and say what is left to do there.

    \b
    Examples:
      cmt-bridge hosts install reaper
    """
    from cmt_bridge.scoring.hosts import host_of
    from cmt_bridge.scoring.hosts import install as carry_out

    done = carry_out(host, folder)
    step = host_of(host).step
    if as_json:
        print_json({"host": host, "folder": str(done.folder), "files": list(done.files), "step": step})
        return
    for name in done.files:
        click.echo(done.folder / name)
    talk(step)


@hosts.command(short_help="Remove what `install` wrote.")
@HOST
@FOLDER
@json_option
def remove(host: str, folder: Path | None, as_json: bool) -> None:
    """Remove what `install` wrote for HOST; what was changed since is left.

    \b
    Examples:
      cmt-bridge hosts remove reaper
    """
    from cmt_bridge.scoring.hosts import remove as carry_out

    done = carry_out(host, folder)
    if as_json:
        print_json({"host": host, "folder": str(done.folder), "removed": list(done.files), "left": list(done.left)})
        return
    for name in done.files:
        click.echo(done.folder / name)
    for name in done.left:
        talk(f"{done.folder / name} was changed by somebody, so it is left.")
