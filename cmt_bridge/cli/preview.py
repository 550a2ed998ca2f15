"""`cmt-bridge preview`: hear a score, or see a clip with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmt_bridge.cli.common import json_option, print_json, progress, talk

__all__ = ["preview"]


@click.command()
@click.argument("score", type=click.Path(path_type=Path))
@click.option(
    "--video", type=click.Path(path_type=Path), help="The clip to put the music under; its picture is copied."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write, instead of NAME.preview.mp4.")
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
    score: Path, video: Path | None, output: Path | None, soundfont: Path | None, renderer: Any, as_json: bool
) -> None:
    """Play SCORE (a scored video, its .cmt folder, a score folder, a score.json or a MIDI file) into a file.

    With --video, or where SCORE is the video: a copy of the clip with the music as its sound, NAME.preview.mp4 (or
    .mov, .mkv, .webm …, as the clip is). Without: NAME.preview.wav. It is written beside the score and never over
    another file.

    \b
    Examples:
      cmt-bridge preview clip.mp4
      cmt-bridge preview clip.mid -o clip.wav
    """
    from cmt_bridge.core.files import new_file, numbered, short
    from cmt_bridge.errors import OutputError, UsageError
    from cmt_bridge.outputs import audio
    from cmt_bridge.outputs.preview import measure_picture, write_preview

    score, video = _taken(score, video)
    title, length, midi = _music(score)
    if output is not None and output.exists():
        raise OutputError(f"{output} exists already.", hint="Name another file with -o, or leave -o out.")
    if video is None and output is not None and output.suffix.lower() != ".wav":
        raise UsageError(f"{output.name} is not a .wav file.", hint="Add --video CLIP to write a video.")
    picture = measure_picture(video) if video is not None else None
    font = audio.find_soundfont(soundfont)
    talk(f"Playing {score} with {font.name} …")
    sound = audio.render(midi, font, renderer=renderer)
    folder = score if score.is_dir() else score.parent
    seconds = picture.seconds if picture is not None else length or len(sound) / audio.SAMPLE_RATE
    sound = audio.level(audio.fit(sound, seconds))
    if video is not None and picture is not None:
        target = output or folder / f"{short(video.stem)}.preview"
        with progress("Copying") as done:
            path = write_preview(video, picture, sound, target, exact=output is not None, progress=done)
    else:
        if output is not None:
            audio.write_wav(sound, output)
        names = numbered(folder / f"{short(title)}.preview.wav")
        path = output or new_file(names, lambda new: audio.write_wav(sound, new))
        talk("Without --video only the sound is written.")
    if as_json:
        print_json({"preview": str(path), "duration": seconds, "soundfont": str(font)})
    else:
        click.echo(path)


def _taken(path: Path, video: Path | None) -> tuple[Path, Path | None]:
    """Give the MIDI file of the current take, and the video, where a scored video or its project is meant."""
    from cmt_bridge.takes.project import SUFFIX
    from cmt_bridge.takes.whereabouts import project_of

    project = project_of(path) if path.is_file() or path.suffix == SUFFIX else None
    if project is None or path.suffix in (".mid", ".json"):
        return path, video
    return project.current().midi, video or (path if path.is_file() else None)


def _music(path: Path) -> tuple[str, float, bytes]:
    """Give the name of a score or MIDI file, its length in seconds (0: to where the sound ends) and its MIDI bytes."""
    from cmt_bridge.midi.file import MIDI_SUFFIXES
    from cmt_bridge.midi.song import read_song
    from cmt_bridge.outputs.midi import midi_bytes
    from cmt_bridge.outputs.scorefile import SCORE_NAME, read_score

    if path.suffix.lower() in MIDI_SUFFIXES and not path.is_dir():
        read_song(path)  # refuses what cannot be played
        return path.stem, 0.0, path.read_bytes()
    score = read_score(path)
    folder = path if path.is_dir() else path.parent
    name = folder.absolute().name if path.is_dir() or path.name == SCORE_NAME else path.stem
    written = list(path.glob("*.mid")) if path.is_dir() else []  # it may be an edited one
    return name, score.duration, written[0].read_bytes() if len(written) == 1 else midi_bytes(score)
