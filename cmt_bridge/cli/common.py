"""What the verbs share: progress on a terminal, JSON on request."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

    from cmt_bridge.core.instruments import Instrument
    from cmt_bridge.core.metadata import VideoMetadata
    from cmt_bridge.core.options import AnalysisOptions

__all__ = [
    "Progress",
    "analysis_of",
    "analysis_options",
    "instruments_of",
    "json_option",
    "named",
    "precision_option",
    "print_json",
    "progress",
    "talk",
    "talk_of_doubts",
]

Progress = Callable[[float], None]
"""Called with the share done, 0..1."""

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Add `--json`: data on stdout as one JSON object."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")(function)


def precision_option(function: F) -> F:
    """Add `--precision`: the arithmetic of the weights."""
    return click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16", "int8"]),
        default="float32",
        show_default=True,
        help="Arithmetic of the weights; int8 is fastest.",
    )(function)


def named(option: str, name: str, known: dict[str, Any]) -> Any:
    """Give what a name of an option stands for. Raises `UsageError` for one that is not known."""
    from cmt_bridge.errors import UsageError

    try:
        return known[name.strip().lower()]
    except KeyError:
        raise UsageError(f"{option} does not know {name.strip()!r}.", hint=f"Choose from {', '.join(known)}.") from None


def instruments_of(option: str, text: str) -> list[Instrument]:
    """Read `drums,bass`; nothing gives none. Raises `UsageError` for a name that is not known."""
    from cmt_bridge.core.instruments import Instrument

    names = {instrument.name.lower(): instrument for instrument in Instrument}
    return [named(option, name, names) for name in text.split(",")] if text else []


def analysis_options(function: F) -> F:
    """Add the options of the analysis; `analysis_of` reads them."""
    for option in (
        click.option(
            "--cut-sensitivity",
            type=float,
            default=0.5,
            show_default=True,
            help="0: only hard cuts; 1: every suspicion.",
        ),
        click.option(
            "--tempo-range",
            type=(float, float),
            default=(60.0, 160.0),
            show_default=True,
            help="Where to look for it, BPM.",
        ),
        click.option("--tempo", type=float, help="Fix the tempo, in BPM."),
    ):
        function = option(function)
    return function


def analysis_of(given: dict[str, Any]) -> AnalysisOptions:
    """Give the options of the analysis out of a verb's arguments."""
    from cmt_bridge.core.options import AnalysisOptions

    low, high = given["tempo_range"]
    return AnalysisOptions(
        tempo=given["tempo"], tempo_low=low, tempo_high=high, cut_sensitivity=given["cut_sensitivity"]
    )


def print_json(data: Any) -> None:
    """Print data as JSON on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def talk(message: str) -> None:
    """Say something to the person, on stderr."""
    click.echo(message, err=True)


def talk_of_doubts(video: Path, metadata: VideoMetadata, damage: str) -> None:
    """Say what a person should know of a measured video: that it is damaged, that its tempo is not its own."""
    if damage:
        talk(f"Warning: {video} is damaged: {damage}. It was measured up to {metadata.duration:.1f} s.")
    if metadata.tempo_source == "default":
        talk(f"The picture has no rhythm to take a tempo from, so it is {metadata.tempo:g} BPM; --tempo sets another.")


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Show a bar with the time left while the body runs; only on a terminal.

    >>> with progress("Measuring") as done:
    ...     done(0.5)
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    steps = 1000
    with click.progressbar(length=steps, label=label, file=sys.stderr, show_eta=True, width=30) as bar:

        def done(share: float) -> None:
            ahead = int(steps * min(1.0, share)) - bar.pos
            if ahead > 0:
                bar.update(ahead)

        yield done
        done(1.0)
