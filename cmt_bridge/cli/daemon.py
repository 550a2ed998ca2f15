"""`cmt-bridge daemon`: the same as `watch`, in the background."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmt_bridge.cli.common import json_option, print_json, talk
from cmt_bridge.cli.group import Group

if TYPE_CHECKING:
    from cmt_bridge.service.client import Client
    from cmt_bridge.service.instance import Instance

__all__ = ["daemon"]

START_PATIENCE = 30.0  # s, for a daemon to answer
PAUSE = 0.1  # s
SAID = "daemon.err"  # in the state folder: what the daemon's libraries say, and why it did not start

FOLDER = click.argument("folder", type=click.Path(path_type=Path), default=".")


@click.group(cls=Group)
def daemon() -> None:
    """Watch folders in the background."""


@daemon.command(short_help="Begin to watch a folder.")
@FOLDER
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the control API; 0 for a free one.")
@click.option("--osc", type=click.IntRange(0, 65535), default=0, help="Port to listen at for OSC; 0 for none.")
@json_option
def start(folder: Path, port: int, osc: int, as_json: bool) -> None:
    """Begin to watch FOLDER, or this one, and go on when this terminal is closed.

    \b
    Examples:
      cmt-bridge daemon start ~/Videos
    """
    from cmt_bridge.errors import CmtBridgeError, UsageError
    from cmt_bridge.ipc.child import command_line
    from cmt_bridge.service.client import Client
    from cmt_bridge.service.instance import instance_for, state_folder
    from cmt_bridge.service.logs import LOG_NAME, last_lines

    folder = folder.absolute()
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", hint="Give the folder whose videos shall be scored.")
    there = instance_for(folder)
    if there is not None:
        raise UsageError(
            f"{there.folder} is being watched already by process {there.pid}.", hint="See `cmt-bridge daemon status`."
        )
    log = state_folder(folder) / LOG_NAME
    command = command_line("cmt_bridge", "watch", str(folder), "--port", str(port), "--osc", str(osc))
    said = log.with_name(SAID)
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--log", str(log)],
            cwd=folder.anchor,  # so that no folder is kept from being unmounted
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            **_apart(),
        )
    until = time.monotonic() + START_PATIENCE
    while time.monotonic() < until and process.poll() is None:
        instance = instance_for(folder)
        if instance is not None and instance.port and (client := Client.for_path(folder)) is not None:
            found = client.instance
            if as_json:
                print_json({"folder": str(found.folder), "pid": found.pid, "port": found.port, "log": str(log)})
                return
            talk(f"watching {found.folder}: process {found.pid}, port {found.port}")
            click.echo(found.pid)
            return
        time.sleep(PAUSE)
    if process.poll() is None:
        process.terminate()
    reason = " ".join(last_lines(said, 1)).removeprefix("cmt-bridge: ") or "it does not answer."
    raise CmtBridgeError(f"The daemon did not start: {reason}", hint=f"Its log is {log}.")


def _apart() -> dict[str, Any]:
    """Give what makes a process live on without its terminal."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


@daemon.command(short_help="End the daemon of a folder.")
@FOLDER
@click.option("--all", "every", is_flag=True, help="All daemons of yours.")
@json_option
def stop(folder: Path, every: bool, as_json: bool) -> None:
    """End the daemon that watches FOLDER, in order: what it is at is taken up again when it is started.

    \b
    Examples:
      cmt-bridge daemon stop ~/Videos
      cmt-bridge daemon stop --all
    """
    from cmt_bridge.errors import CmtBridgeError
    from cmt_bridge.service.client import Client
    from cmt_bridge.service.instance import instances

    errors = []
    stopped = []
    for instance in instances() if every else [_instance(folder)]:
        try:
            Client(instance).stop()
            talk(f"{instance.folder} is not watched any more")
            stopped.append(str(instance.folder))
        except CmtBridgeError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    if as_json:
        print_json({"stopped": stopped})


@daemon.command(short_help="Show what waits, runs, is done and has failed.")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@json_option
def status(folder: Path | None, as_json: bool) -> None:
    """Show the daemon that watches FOLDER, or all of yours: what waits, runs, is done and has failed.

    \b
    Examples:
      cmt-bridge daemon status
      cmt-bridge daemon status ~/Videos --json
    """
    from cmt_bridge.service.client import Client
    from cmt_bridge.service.instance import instances

    found = []
    for instance in instances() if folder is None else [_instance(folder)]:
        client = Client(instance)
        jobs = {state: _jobs(client, state) for state in ("running", "waiting", "failed")}
        found.append(client.ask("status") | jobs)
    if as_json:
        print_json({"daemons": found})
        return
    for each in found:
        counts = ", ".join(f"{count} {state}" for state, count in each["jobs"].items() if count) or "no jobs"
        click.echo(f"{each['folder']}  process {each['pid']}  {each['videos']} videos  {counts}")
        for job in each["running"]:
            click.echo(f"  {job['path']}: {job['stage'] or 'starting'} {job['share']:.0%}")
        for job in each["waiting"] + each["failed"]:
            if job["reason"]:
                click.echo(f"  {job['path']} {'failed' if job['state'] == 'failed' else 'waits'}: {job['reason']}")
        for problem in each["problems"]:
            click.echo(f"  {problem}")
        if not each["there"]:
            click.echo("  the folder is not there; it is waited for")
        if each["full"]:
            click.echo("  the disk is full; space is waited for")
    if not found:
        talk("No folder is watched. Start: cmt-bridge daemon start FOLDER")


def _jobs(client: Client, state: str) -> list[dict[str, Any]]:
    return list(client.ask("jobs", {"state": state, "limit": 20})["jobs"])


@daemon.command(short_help="Show the last lines of the log.")
@FOLDER
@click.option("-n", "--lines", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many.")
@json_option
def logs(folder: Path, lines: int, as_json: bool) -> None:
    """Show the last lines of the log of the daemon that watches FOLDER, or that watched it.

    \b
    Examples:
      cmt-bridge daemon logs ~/Videos -n 200
    """
    from cmt_bridge.errors import UsageError
    from cmt_bridge.service.instance import instance_for, state_folder
    from cmt_bridge.service.logs import LOG_NAME, last_lines

    instance = instance_for(folder)
    path = (instance.state if instance is not None else state_folder(folder.absolute())) / LOG_NAME
    if not path.exists():
        raise UsageError(
            f"There is no log for {folder.absolute()}.", hint="`watch` says it on its terminal; `daemon start` has one."
        )
    if as_json:
        print_json({"log": str(path), "lines": last_lines(path, lines)})
        return
    for line in last_lines(path, lines):
        click.echo(line)
    talk(f"log: {path}")


def _instance(folder: Path) -> Instance:
    from cmt_bridge.errors import UsageError
    from cmt_bridge.service.instance import instance_for

    instance = instance_for(folder)
    if instance is None:
        raise UsageError(f"{folder.absolute()} is not watched.", hint="Start: cmt-bridge daemon start FOLDER.")
    return instance
