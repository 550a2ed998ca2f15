"""`cmt-bridge monitor`: what arrives at a port, and how evenly."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from cmt_bridge.cli.common import json_option, print_json, talk
from cmt_bridge.cli.statusline import columns

if TYPE_CHECKING:
    from cmt_bridge.player.listener import Listener
    from cmt_bridge.player.monitor import Monitor

__all__ = ["monitor"]

LOOK_EVERY = 0.02  # s
SHOW_EVERY = 0.25  # s


@click.command(short_help="Show what arrives at a MIDI port.")
@click.argument("port", default="")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Listen for so long; else until Ctrl-C.")
@click.option("--raw", is_flag=True, help="Print each message with its time; with --json, as a line of JSON.")
@click.option(
    "--backend",
    type=click.Choice(["auto", "jack", "rtmidi"]),
    default="auto",
    show_default=True,
    help="Whose ports; auto is JACK where it runs, else the system's own.",
)
@json_option
def monitor(port: str, seconds: float | None, raw: bool, backend: str, as_json: bool) -> None:
    """Show what arrives at PORT: notes, clock and timecode, their jitter and drift, who starts and stops, what hangs.

    PORT is a name that `cmt-bridge ports` lists after --from, or a part of one. Without it an input of our own is
    opened, for others to connect to.
    """
    from cmt_bridge.player.listener import listen
    from cmt_bridge.player.monitor import Monitor, describe

    listener = listen(port, backend)
    watched = Monitor(listener.rate)

    def print_message(data: bytes, at: int) -> None:
        since = watched.seconds(at)
        if as_json:
            click.echo(json.dumps({"seconds": round(since, 6), "bytes": data.hex(), "said": describe(data)}))
        else:
            click.echo(f"{since:12.6f}  {data.hex(' '):12}  {describe(data)}")

    talk(f"Listening {'to' if port else 'at'} {listener.name}; Ctrl-C ends it.")
    with suppress(KeyboardInterrupt):  # which is how to end it
        _listen(listener, watched, seconds, print_message if raw else None)
    now = listener.now
    listener.close()
    if as_json:
        found = {"port": listener.name, "missed_periods": listener.missed, **watched.to_json(now)}
        click.echo(json.dumps(found)) if raw else print_json(found)
        return
    for line in watched.lines(now):
        click.echo(line)
    if listener.missed:
        talk(f"JACK did not let this program listen {listener.missed} times: what came then is not counted.")
    ages = [age for _, _, age in watched.hanging(now)]
    if ages:
        click.echo(f"{len(ages)} notes still sound, the first of them for {max(ages):.1f} s")


def _listen(
    listener: Listener, watched: Monitor, seconds: float | None, print_message: Callable[[bytes, int], Any] | None
) -> None:
    until = None if seconds is None else time.monotonic() + seconds
    shown, rows = 0.0, 0
    live = sys.stderr.isatty() and print_message is None
    while not listener.gone:
        for at, data in listener.take():
            watched.receive(data, at)
            if print_message is not None:
                print_message(data, at)
        now = time.monotonic()
        if live and now - shown >= SHOW_EVERY:
            shown = now
            rows = _show(watched.lines(listener.now), rows)
        if until is not None and now >= until:
            break
        time.sleep(LOOK_EVERY if until is None else min(LOOK_EVERY, max(0.0, until - now)))
    if rows:
        _show([], rows)


def _show(lines: Sequence[str], rows: int) -> int:
    """Write lines over those that were written last, on a terminal."""
    width = columns()
    up = f"\x1b[{rows}F\x1b[J" if rows else ""
    click.echo(up + "".join(f"{line[:width]}\n" for line in lines), err=True, nl=False)
    return len(lines)
