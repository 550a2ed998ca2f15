"""`cmt-bridge preview`: hear a score, or see a clip with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmt_bridge.cli.common import json_option, print_json, progress, shown, talk

__all__ = ["preview"]


@click.command(short_help="Make a copy of the clip with the music in it.")
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--take", metavar="N|all", help="The take to hear, or all of them, instead of the current one.")
@click.option(
    "--video", "film", type=click.Path(path_type=Path), help="The clip to put other music under, such as a MIDI file."
)
@click.option("--music-only", is_flag=True, help="Leave out the sound that the clip has of its own.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write, instead of a name of ours.")
@click.option("--soundfont", type=click.Path(path_type=Path), help="A .sf2 or .sf3 file to play with.")
@click.option(
    "--renderer",
    type=click.Choice(["auto", "fluidsynth", "symusic"]),
    default="auto",
    show_default=True,
    help="The synthesizer: the program fluidsynth, or the one inside cmt-bridge; auto takes the first if it is there.",
)
@json_option
def preview(
    video: Path,
    take: str | None,
    film: Path | None,
    music_only: bool,
    output: Path | None,
    soundfont: Path | None,
    renderer: Any,
    as_json: bool,
) -> None:
    """Make VIDEO to be heard with its music: a copy of the clip, with a take mixed with the sound that it has.

    VIDEO is a scored video or its .cmt folder; a score folder, a score.json or a MIDI file will do too. The copy of
    clip.mp4 with its take 2 is "clip take 2.preview.mp4" (or .mov, .mkv, .webm …, as the clip is) and lies beside it.
    Without a clip only the sound is written, as WAV. Nothing that is there is touched.

    \b
    Examples:
      cmt-bridge preview clip.mp4
      cmt-bridge preview clip.mp4 --take all --music-only
      cmt-bridge preview edited.mid --video clip.mp4
      cmt-bridge preview clip.mid -o clip.wav
    """
    from cmt_bridge.scoring.preview import PreviewOptions
    from cmt_bridge.scoring.preview import preview as carry_out

    options = PreviewOptions(soundfont, renderer, film_sound=not music_only)
    number, every = _take(take)
    with progress("Playing") as done:
        made = carry_out(video, options, take=number, every=every, video=film, output=output, progress=done)
    for note in dict.fromkeys(note for each in made for note in each.notes):
        talk(note)
    if as_json:
        print_json({**made[0].to_json(), "previews": [each.to_json() for each in made]})
        return
    for each in made:
        click.echo(shown(each.path))


def _take(text: str | None) -> tuple[int | None, bool]:
    """Read which take is meant: its number, and whether all are."""
    from cmt_bridge.errors import UsageError

    if text is None or text.strip().lower() == "all":
        return None, text is not None
    if not text.strip().isdecimal() or int(text) < 1:
        raise UsageError(f"There is no take {text!r}.", hint="Give its number, or all.")
    return int(text), False
