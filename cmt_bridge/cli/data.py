"""`cmt-bridge data`: from music files to the dataset that training reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmt_bridge.cli.common import json_option, print_json, progress, talk
from cmt_bridge.cli.group import Group

if TYPE_CHECKING:
    from cmt_bridge.training.dataset import BuildReport

__all__ = ["data"]


@click.group(cls=Group)
def data() -> None:
    """Make and look at datasets to train on."""


@data.command(short_help="Make a dataset of folders of music.")
@click.argument("folders", metavar="FOLDER…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--held-out", type=float, default=0.05, show_default=True, help="Share of the songs kept from training.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that read. Without it, as many as there are processors."
)
@json_option
def build(
    folders: tuple[Path, ...], output: Path, held_out: float, seed: int, workers: int | None, as_json: bool
) -> None:
    """Make a dataset of all music under each FOLDER: MIDI files and song .npz of the original.

    Everything in 4/4 (also 2/2, 8/8) is laid on bars of sixteenths and given to five instruments: drums by channel 10,
    the others by their General MIDI program, or by the track's name where it has none.

    \b
      piano     pianos, chromatic percussion, organs, kalimba
      guitar    guitars, sitar, banjo, shamisen, koto
      bass      basses
      strings   strings, choir, brass, reeds, pipes, synth leads and pads, fiddle

    Songs are the files, or what a manifest.csv (path, song, style) in a FOLDER or above it says. Copies and transposed
    versions count as one song, and a song is never on both sides of the split. What is left out, and why, is in
    skipped.csv of the dataset.

    \b
    Example:
      cmt-bridge data build ~/midi -o dataset
    """
    from cmt_bridge.errors import UsageError
    from cmt_bridge.training.corpus import build_dataset

    if output.name in ("", ".."):
        raise UsageError(
            f"-o needs the name of a folder to make, not {str(output)!r}.", hint="Give one such as -o dataset."
        )
    with progress("Reading") as done:
        report = build_dataset(folders, output, held_out=held_out, seed=seed, workers=workers, progress=done)
    if as_json:
        print_json({"dataset": str(output), **asdict(report)})
    else:
        _tell(report, talk)
        click.echo(output)


@data.command(short_help="Show what a dataset holds.")
@click.argument("dataset", type=click.Path(path_type=Path))
@json_option
def show(dataset: Path, as_json: bool) -> None:
    """Show what DATASET holds: songs, bars and notes of each side, styles, and what was left out."""
    from cmt_bridge.training.dataset import open_dataset, read_report

    open_dataset(dataset)  # a damaged one is refused
    report = read_report(dataset)
    if as_json:
        print_json({"dataset": str(dataset), **asdict(report)})
    else:
        _tell(report, click.echo)


def _tell(report: BuildReport, say: Callable[[str], None]) -> None:
    sides = report.training, report.held_out

    def row(title: str, counts: Sequence[int]) -> None:
        say(f"{title:14}" + "".join(f"{count:>12,}" for count in counts))

    say(f"{'':14}{'training':>12}{'held out':>12}")
    row("songs", [side.songs for side in sides])
    row("pieces", [side.pieces for side in sides])
    row("bars", [side.bars for side in sides])
    row("notes", [side.notes for side in sides])
    for instrument in report.training.instruments:
        row(f"  {instrument}", [side.instruments[instrument] for side in sides])
    say("styles: " + ", ".join(f"{count:,} {style or 'unknown'}" for style, count in report.styles.items()))
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in report.skipped.items())
    say(f"{report.files:,} files; left out: {left_out or 'nothing'}")
    if report.merged_songs:
        say(f"same music as another: {report.merged_songs:,} songs; at most {report.largest_group:,} are one")
