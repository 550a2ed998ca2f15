"""What the verbs share: progress on a terminal, JSON on request."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cmt_bridge.cli.statusline import StatusLine

if TYPE_CHECKING:
    from cmt_bridge.scoring.outcome import Outcome, Told

__all__ = [
    "Progress",
    "clock",
    "json_option",
    "print_json",
    "print_outcome",
    "progress",
    "shown",
    "stages",
    "talk",
]

Progress = Callable[[float], None]
"""Called with the share done, 0..1."""

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Add `--json`: data on stdout as one JSON object."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")(function)


def shown(path: str | Path) -> str:
    """Give a path as a person here would write it."""
    path = Path(path)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else str(path)


def clock(seconds: float) -> str:
    """Give a length or a moment as people read it: 1:02.5, and hours where there are any."""
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02}.{tenths % 10}"
    return f"{hours}:{minutes:02}:{rest}" if hours else f"{minutes}:{rest}"


def print_json(data: Any) -> None:
    """Print data as JSON on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def talk(message: str) -> None:
    """Say something to the person, on stderr."""
    click.echo(message, err=True)


def print_outcome(outcome: Outcome, as_json: bool, sentences: Sequence[str], video: Path) -> None:
    """Say what a request for a video came to: each take and its folder, the notes, the files, and what comes next."""
    for note in outcome.notes:
        talk(note)
    if as_json:
        print_json(outcome.to_json())
        return
    several = len(outcome.takes) > 1
    for take, sentence in zip(outcome.takes, sentences, strict=True):
        number = f"take {take['take']}" if take["take"] else ""
        head = f"{number}, the current one" if number and several and take.get("current") else number
        if said := ": ".join(filter(None, (head, sentence))):
            talk(said)
        click.echo(shown(take["folder"]))
    for path in outcome.dropped:
        talk(f"for your session: {shown(path)}")
    talk(f"next: {_next(outcome, video)}")


def _next(outcome: Outcome, video: Path) -> str:
    """Say what one does with what was made."""
    if outcome.project is None:
        return f"cmt-bridge preview {_typed(outcome.takes[0]['folder'])}"
    clip = _typed(video)
    if len(outcome.takes) > 1:
        return f"cmt-bridge preview {clip} --take all, then cmt-bridge choose {clip} N"
    return f"cmt-bridge preview {clip}, or cmt-bridge export {clip} --project reaper"


def _typed(path: str | Path) -> str:
    """Return a path as it is typed in a shell."""
    return shlex.quote(shown(path))


SAY_EVERY = 5.0  # s between lines, where stderr is no terminal
SHOW_EVERY = 0.1  # s between looks of the line on a terminal
BAR = 30  # columns
WORTH_A_GUESS = 0.02  # the share from which on the time left can be told


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Show the share done and the time left while the body runs: on a terminal on one line, else a line now and then.

    >>> with progress("Measuring") as done:
    ...     done(0.5)
    """
    began = time.monotonic()
    line = StatusLine() if sys.stderr.isatty() else None
    last = -SHOW_EVERY if line is not None else began

    def done(share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < (SAY_EVERY if line is None else SHOW_EVERY) or (line is None and share <= 0):
            return
        last = now
        share = min(1.0, max(0.0, share))
        parts = [label, f"{share:.0%}"]
        if share >= WORTH_A_GUESS:
            parts.append(f"{clock((now - began) * (1 - share) / share).partition('.')[0]} left")
        if line is None:
            talk(", ".join(parts))
        else:
            full = int(BAR * share)
            line.show([*parts, f"[{'#' * full}{'-' * (BAR - full)}]"])

    if line is not None:
        done(0.0)
    try:
        yield done
    finally:
        if line is not None:
            line.end()


LABELS = {"measure": "Measuring", "compose": "Composing"}


@contextmanager
def stages() -> Iterator[Told]:
    """Show how far each stage is that takes a while."""
    with ExitStack() as bars:
        now = ""
        done: Progress = lambda _: None  # noqa: E731

        def told(stage: str, share: float) -> None:
            nonlocal now, done
            if stage != now:
                bars.close()
                now, done = stage, lambda _: None
                if stage in LABELS:
                    done = bars.enter_context(progress(LABELS[stage]))
            done(share)

        yield told
