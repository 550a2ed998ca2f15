"""`cmt-bridge export`: the music as a project of a DAW, a timeline, a list of hit points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cmt_bridge.cli.common import json_option, print_json, shown, talk
from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.scoring.export import FORMATS
from cmt_bridge.settings.folder import OUTPUTS

if TYPE_CHECKING:
    from cmt_bridge.scoring.outcome import Outcome

__all__ = ["export", "kinds_of", "project_option", "wanted", "with_projects"]

F = TypeVar("F", bound=Callable[..., Any])
START, RATE = OUTPUTS["start"].help, OUTPUTS["rate"].help


@click.command(short_help="Write a project that your DAW opens.")
@click.argument("video", type=click.Path(path_type=Path))
@click.option(
    "--project",
    "projects",
    help=f"What to write, several with commas: {', '.join(dict.fromkeys((*HOSTS, *FORMATS)))}; or all.",
)
@click.option("--into", type=click.Path(path_type=Path), help="Instead: a .RPP or .ardour file to add the music to.")
@click.option("--at", default="0", show_default=True, help="Where the film begins in that, in seconds.")
@click.option("--take", type=click.IntRange(1), help="The take that is heard, instead of the current one.")
@click.option("--start", help=START)
@click.option("--rate", help=RATE)
@click.option("--ascii", "ascii_names", is_flag=True, help="Names in MIDI files in ASCII, for hosts that take no more.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write to, instead of the video's.")
@json_option
def export(
    video: Path,
    projects: str | None,
    into: Path | None,
    at: str,
    take: int | None,
    start: str | None,
    rate: str | None,
    ascii_names: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write the takes of VIDEO, a scored video or its .cmt folder, as a project that your DAW opens.

    A REAPER project or an Ardour session has the video, five tracks, the tempo map, markers at cuts and hits, and every
    take that was not rejected, the current one on top. Paths in it are relative: move the folder as you like. Nothing
    that is there is touched; what is written next gets the number of its take.

    \b
    Examples:
      cmt-bridge export clip.mp4 --project reaper
      cmt-bridge export clip.mp4 --project reaper,edl --start 01:00:00:00 -o Mix
      cmt-bridge export clip.mp4 --into "My film.RPP" --at 12.5
    """
    from cmt_bridge.errors import UsageError
    from cmt_bridge.scoring.export import add_to
    from cmt_bridge.scoring.export import export as carry_out

    if (projects is None) == (into is None) or (into is not None and output is not None):
        raise UsageError(
            "Say what to write.", hint="Give --project with a kind, or --into with a project that is there."
        )
    if into is not None and (start is not None or rate is not None):
        raise UsageError(f"{into.name} has its own timecode.", hint="Leave out --start and --rate, or --into.")
    if into is not None:
        made = [add_to(into, video, take=take, at=_at(at))]
    else:
        kinds = kinds_of(projects or "")
        made = carry_out(video, kinds, take=take, folder=output, start=start, rate=rate, ascii_names=ascii_names)
    if as_json:
        print_json({"files": [each.to_json() for each in made]})
        return
    for each in made:
        click.echo(shown(each.path))
        if not each.fresh:
            talk("It was there already, the same.")
    for note in dict.fromkeys(note for each in made for note in each.notes):
        talk(note)


def project_option(function: F) -> F:
    """Add `--project` to a verb that makes takes, and what a project is told of timecode."""
    text = "A project of this kind too, beside the files for your session; see `cmt-bridge export --help`."
    for name, each in (("--rate", f"With --project: {RATE}"), ("--start", f"With --project: {START}")):
        function = click.option(name, f"project{name.replace('--', '_')}", help=each)(function)
    return click.option("--project", "projects", default="", help=text)(function)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What projects a verb that makes takes is to write: their kinds, and their timecode where somebody said one."""

    kinds: tuple[str, ...] = ()
    start: str | None = None
    rate: str | None = None


def wanted(said: str, start: str | None, rate: str | None, output: Path | None = None) -> Wanted:
    """Give the projects that were said. Raises `UsageError` where there is none such, or no place for it."""
    from cmt_bridge.errors import UsageError

    kinds = tuple(kinds_of(said, output))
    if not kinds and (start is not None or rate is not None):
        raise UsageError("--start and --rate are for a project.", hint="Add --project, or leave them out.")
    for name, value in (("start", start), ("rate", rate)):
        if value:
            OUTPUTS[name].read(value)
    return Wanted(kinds, start, rate)


def kinds_of(said: str, output: Path | None = None) -> list[str]:
    """Give the kinds of projects that were said with commas. Raises `UsageError` where one is none, or has no place."""
    from cmt_bridge.errors import UsageError
    from cmt_bridge.scoring.export import format_of

    names = [name.strip().lower() for name in said.split(",") if name.strip()]
    if names and output is not None:
        raise UsageError("A plain folder has no project.", hint="Leave out -o, or --project.")
    return list(FORMATS) if names == ["all"] else [format_of(name).name for name in names]


def with_projects(outcome: Outcome, wanted: Wanted) -> Outcome:
    """Write projects of what a request made, where they are wanted; give its outcome with their files."""
    from cmt_bridge.scoring.export import export as carry_out

    if not wanted.kinds or outcome.project is None:
        return outcome
    made = carry_out(Path(outcome.project), wanted.kinds, start=wanted.start, rate=wanted.rate)
    notes = [*outcome.notes, *(note for each in made for note in each.notes)]
    dropped = [*outcome.dropped, *(str(each.path) for each in made)]
    return replace(outcome, dropped=list(dict.fromkeys(dropped)), notes=list(dict.fromkeys(notes)))


def _at(text: str) -> Fraction:
    from cmt_bridge.core.bounds import shortened
    from cmt_bridge.errors import UsageError

    try:
        found = Fraction(text.strip() if len(text) < 40 and "e" not in text.lower() else "-1")  # 1e999999999
    except (ValueError, ZeroDivisionError):
        found = Fraction(-1)
    if not 0 <= found < 1_000_000:
        raise UsageError(
            f"There are no {shortened(text)} seconds.", hint="Give seconds from the project's beginning, such as 12.5."
        )
    return found
