"""`cmt-bridge takes`, `choose`, `accept`, `reject`, `undo`, `redo`, `diff`: the takes of a project."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from cmt_bridge.cli.common import clock, json_option, print_json, shown, talk
from cmt_bridge.settings import of_verb

__all__ = ["accept", "choose", "diff", "redo", "reject", "takes", "undo"]

MARKS = {"accepted": "*", "rejected": "x"}
INDENT = " " * 9
LEAST_WIDE = 40  # columns that a listing is fitted to

VIDEO = click.argument("video", type=click.Path(path_type=Path))


@click.command(short_help="List the takes of a clip.")
@VIDEO
@json_option
def takes(video: Path, as_json: bool) -> None:
    """List the takes of VIDEO, a scored video or its .cmt folder, and what tells them apart.

    The current one is marked with >, accepted ones with *, rejected ones with x. Below each: the notes of each part and
    the key that they are heard in; how it was made, with the options that were not the usual ones.

    \b
    Examples:
      cmt-bridge takes clip.mp4
    """
    from cmt_bridge.scoring.choose import list_takes

    found = list_takes(video, figures=True)
    if as_json:
        print_json(found)
        return
    width = max(LEAST_WIDE, shutil.get_terminal_size().columns) - 1
    for take in found["takes"]:
        for line in _lines(take, width, is_current=take["take"] == found["current"]):
            click.echo(line)
    if sys.stdout.isatty():
        talk("> current, * accepted, x rejected")


def _lines(take: dict[str, Any], width: int, *, is_current: bool) -> list[str]:
    """Return what is to be said of a take: a line of figures, and below it what it holds and how it was made."""
    head = f"{'>' if is_current else ' '} {MARKS.get(take['mark'], ' ')} {take['take']:3}  {_local(take['made'])}"
    below = [_what(take)]
    if "damaged" in take:
        below.append(take["damaged"])
    else:
        head += f"  {clock(take['duration']):>7}  {take['bars']:3} bars  {take['tempo']:6.2f} BPM"
        notes = ", ".join(f"{name} {count}" for name, count in take["notes"].items() if count) or "no notes"
        from cmt_bridge.core.key import key_title

        key = f"; {key_title(take['heard_key'])}" if take["heard_key"] else ""
        below.insert(0, f"{notes}{key}")
    return [
        f"{head}  seed {take['seed']}",
        *(
            line
            for text in below
            for line in textwrap.wrap(text, width, initial_indent=INDENT, subsequent_indent=INDENT)
        ),
    ]


def _local(made: str) -> str:
    """Return a time of a take as the clock on the wall has it."""
    try:
        return datetime.fromisoformat(made).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return made


def _what(take: dict[str, Any]) -> str:
    """Return how a take was made, in the words of the command line."""
    asked = take["request"]
    if take["verb"] != "regenerate":
        rows = of_verb("score")
        said = " ".join(f"{rows[name].option} {value}" for name, value in take.get("settings", {}).items())
        return f"{take['verb']} {said}".rstrip()
    bars = _ranges([bar for first, last in asked.get("bars", []) for bar in range(first, last + 1)])
    origin = f" of take {take['origin']}" if take["origin"] else ""
    base = f" on {asked['base']}" if "base" in asked else ""
    wishes = "".join(
        f" --{name} {asked[name]}" for name in ("keep", "control", "density", "temperature") if name in asked
    )
    return f"regenerate{wishes}: bars {bars} of {', '.join(asked.get('tracks', []))}{origin}{base}"


def _ranges(bars: Sequence[int]) -> str:
    """Give bars as people write them: 1-3, 7."""
    runs: list[list[int]] = []
    for bar in bars:
        if runs and bar == runs[-1][1] + 1:
            runs[-1][1] = bar
        else:
            runs.append([bar, bar])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _chosen(video: Path, verb: str, number: int | None, as_json: bool, *, step: int = 0) -> None:
    from cmt_bridge.config import watched
    from cmt_bridge.scoring.choose import choose as carry_out
    from cmt_bridge.service.instance import instance_for

    instance = instance_for(video)
    with watched(instance.folder if instance is not None else None):
        found = carry_out(video, verb, number, step=step)
    for note in found["notes"]:
        talk(note)
    if as_json:
        print_json(found)
        return
    mark = f", {found['mark']}" if found["mark"] else ""
    talk(f"take {found['current']} is the current one{mark}")
    click.echo(shown(found["folder"]))
    for path in found["dropped"]:
        talk(f"for your session: {shown(path)}")


@click.command(short_help="Make another take the current one.")
@VIDEO
@click.argument("take", type=click.IntRange(1), required=False)
@click.option("--next", "step", flag_value=1, type=int, help="Go to the next take that is not rejected.")
@click.option("--previous", "step", flag_value=-1, type=int, help="Go to the take before that is not rejected.")
@json_option
def choose(video: Path, take: int | None, step: int | None, as_json: bool) -> None:
    """Make TAKE of VIDEO the current one: its files go to your session.

    With --next or --previous, go to the take beside TAKE, or beside the current one if you name none.

    \b
    Examples:
      cmt-bridge choose clip.mp4 2
      cmt-bridge choose clip.mp4 --next
    """
    _chosen(video, "choose", take, as_json, step=step or 0)


@click.command(short_help="Mark a take as accepted.")
@VIDEO
@click.argument("take", type=click.IntRange(1), required=False)
@json_option
def accept(video: Path, take: int | None, as_json: bool) -> None:
    """Accept TAKE of VIDEO, else the current one; it becomes the current one.

    \b
    Examples:
      cmt-bridge accept clip.mp4
      cmt-bridge accept clip.mp4 3
    """
    _chosen(video, "accept", take, as_json)


@click.command(short_help="Mark a take as rejected, and go to another.")
@VIDEO
@click.argument("take", type=click.IntRange(1), required=False)
@json_option
def reject(video: Path, take: int | None, as_json: bool) -> None:
    """Reject TAKE of VIDEO, else the current one. The next variation takes its place, or the take it was made from.

    \b
    Examples:
      cmt-bridge reject clip.mp4
    """
    _chosen(video, "reject", take, as_json)


@click.command(short_help="Take back the last choice or new take.")
@VIDEO
@json_option
def undo(video: Path, as_json: bool) -> None:
    """Take back the last choice for VIDEO, or its last new take; nothing is deleted.

    \b
    Examples:
      cmt-bridge undo clip.mp4
    """
    _chosen(video, "undo", None, as_json)


@click.command(short_help="Make the choice again that was undone.")
@VIDEO
@json_option
def redo(video: Path, as_json: bool) -> None:
    """Make the choice again that was undone last for VIDEO.

    \b
    Examples:
      cmt-bridge redo clip.mp4
    """
    _chosen(video, "redo", None, as_json)


@click.command(short_help="Show where two takes differ.")
@VIDEO
@click.argument("first", metavar="A", type=click.IntRange(1))
@click.argument("second", metavar="B", type=click.IntRange(1))
@json_option
def diff(video: Path, first: int, second: int, as_json: bool) -> None:
    """Show which bars of which tracks differ between takes A and B of VIDEO: in notes, and in all else their MIDI says.

    \b
    Examples:
      cmt-bridge diff clip.mp4 1 2
    """
    from cmt_bridge.scoring.choose import compare

    found = compare(video, first, second)
    if as_json:
        print_json(found)
        return
    for name, (before, after) in (("tempo", found["tempo"]), ("bars", found["bars"])):
        if before != after:
            click.echo(f"{name}: {before:g} and {after:g}")
    for each in found["tracks"]:
        also = _also(each["also"])
        if each["bars"]:
            counts = f"{each['only_first']} notes only in {first}, {each['only_second']} only in {second}"
            click.echo(f"{each['track']}: bars {_ranges(each['bars'])} ({counts}){also and f'; {also}'}")
        else:
            click.echo(f"{each['track']}: {also}; the notes are the same")
    for kind, bars in found["also"].items():
        click.echo(f"{kind}: bars {_ranges(bars)}")
    if not any(each["bars"] for each in found["tracks"]):
        talk(f"takes {first} and {second} have the same notes")


def _also(kinds: dict[str, list[int]]) -> str:
    return ", ".join(f"{kind} in bars {_ranges(bars)}" for kind, bars in kinds.items())
