"""`cmt-bridge convert`: between MIDI files, scores, and the array files of the original."""

from __future__ import annotations

from pathlib import Path

import click

from cmt_bridge.cli.common import json_option, print_json, talk

__all__ = ["convert"]


@click.command(short_help="Convert between MIDI, scores and arrays.")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--tempo",
    type=click.FloatRange(4, 1000),
    default=120.0,
    show_default=True,
    help="BPM, for a .npz, which states none.",
)
@click.option(
    "--least-notes",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="MIDI to .npz: leave out tracks of this many notes or fewer, as the original does.",
)
@click.option("--force", is_flag=True, help="Replace OUT where it exists.")
@json_option
def convert(source: Path, target: Path, tempo: float, least_notes: int, force: bool, as_json: bool) -> None:
    """Convert IN to OUT; what they are is told from their names and content.

    \b
      song.mid        song.npz       compound words, equal to the original's
      song.mid        score.json     on the sixteenth grid, with tempos, markers
      score.json      song.mid, song.npz
      songs.npz       song.mid, score.json; a folder where it holds several songs
      folder          songs.npz      its MIDI files, to train the original
      metadata.json   video.npz      control of a video, as the original maps it
      video.npz       metadata.json  with the middle of each class as its value

    A .npz states neither tempo nor velocity: songs come back at --tempo and velocity 80.

    \b
    Examples:
      cmt-bridge convert song.mid song.npz
      cmt-bridge convert metadata.json video.npz
    """
    from cmt_bridge.scoring.convert import Conversion
    from cmt_bridge.scoring.convert import convert as run

    made = run(source, target, Conversion(tempo, least_notes, force, talk))
    if as_json:
        print_json({"input": str(source), "kind": made.kind, "outputs": [str(path) for path in made.files]})
        return
    for path in made.files:
        click.echo(path)
