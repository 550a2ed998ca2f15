"""Preview takes: a copy of the film with the music in it, or the music alone as sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmt_bridge.core.files import new_file, numbered, short
from cmt_bridge.core.paths import path_fields, takes_paths
from cmt_bridge.errors import OutputError, ScoreError, UsageError

if TYPE_CHECKING:
    from cmt_bridge.outputs.audio import Renderer
    from cmt_bridge.takes.take import Take
    from cmt_bridge.takes.take_folder import TakeFolder

__all__ = ["PreviewOptions", "Previewed", "preview", "under_film"]

Progress = Callable[[float], None]


@dataclass(frozen=True)
class PreviewOptions:
    """How music is made to be heard: the SoundFont and the synthesizer, and whether a film keeps its own sound."""

    soundfont: Path | None = None
    renderer: Renderer = "auto"
    film_sound: bool = True

    def __post_init__(self) -> None:
        path_fields(self, "soundfont")


@dataclass(frozen=True)
class Previewed:
    """A file that was made: of which take, its length in seconds, the SoundFont, and sentences for the person."""

    path: Path
    take: int | None
    seconds: float
    soundfont: Path
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's plain values."""
        return {
            "take": self.take,
            "preview": str(self.path),
            "duration": self.seconds,
            "soundfont": str(self.soundfont),
        }


@dataclass(frozen=True)
class _Music:
    """Music to be heard: its MIDI bytes, what its file is called and where that goes, its length (0: to its end)."""

    midi: bytes
    stem: Path
    seconds: float = 0.0
    take: int | None = None


@takes_paths
def preview(
    path: Path,
    options: PreviewOptions | None = None,
    *,
    take: int | None = None,
    every: bool = False,
    video: Path | None = None,
    output: Path | None = None,
    progress: Progress = lambda _: None,
) -> list[Previewed]:
    """Write a preview of the current take of what a path means, of `take`, or of `every` one; or of other music.

    `path` is a scored video, its project, a take, a score folder, a score.json or a MIDI file. What is made of a take
    lies beside the film and has the take's number in its name; else it lies beside the music. Nothing that is there is
    touched. Raises `ScoreError`, `MidiError`, `VideoError`, `UsageError`, `MissingError`, `OutputError`.
    """
    from cmt_bridge.takes.locate import find_take_folder

    options = options or PreviewOptions()
    project = find_take_folder(path)
    if project is None:
        if take is not None or every:
            raise UsageError(f"{path} has no takes to choose from.", hint="Leave --take out.")
        music = [_music_of(path, video)]
    else:
        takes = _chosen(project, path, take, every)
        video = video or _film_of(project, path)
        music = [_music_of_take(project, each, video) for each in takes]
    if output is not None:
        _check_output(output, video, len(music))
    return [_written(each, video, output, options, progress) for each in music]


def _chosen(project: TakeFolder, path: Path, number: int | None, every: bool) -> list[Take]:
    """Return the takes that are meant: by number, all of them, the one that the path lies in, or the current one."""
    if every:
        return project.takes()
    if number is not None:
        return [project.take(number)]
    here = (path.absolute(), *path.absolute().parents)
    inside = [each for each in project.takes() if each.folder.absolute() in here]
    return inside[:1] or [project.current()]


def _film_of(project: TakeFolder, path: Path) -> Path | None:
    """Return the film that a path is, or the one beside the project."""
    from cmt_bridge.scoring.export import ARRAYS

    if path.is_file() and not path.absolute().is_relative_to(project.folder.absolute()):
        return path if path.suffix.lower() not in ARRAYS else None
    there = (project.folder.with_name(video["name"]) for video in reversed(project.videos()))
    return next((each for each in there if each.is_file() and each.suffix.lower() not in ARRAYS), None)


def _music_of_take(project: TakeFolder, take: Take, video: Path | None) -> _Music:
    from cmt_bridge.midi.file import read_midi_bytes

    folder = project.folder.parent if video is None else video.parent
    name = short(project.name if video is None else video.stem)
    stem = folder / f"{name} take {take.number}"
    return _Music(read_midi_bytes(take.midi), stem, take.score().duration, take.number)


def _music_of(path: Path, video: Path | None) -> _Music:
    """Return the music of a score folder, a score.json or a MIDI file."""
    from cmt_bridge.midi.file import MIDI_SUFFIXES, read_midi_bytes
    from cmt_bridge.midi.song import read_song
    from cmt_bridge.outputs.midi import midi_bytes
    from cmt_bridge.outputs.scorefile import SCORE_NAME, read_score

    suffix = path.suffix.lower()
    folder = path if path.is_dir() else path.parent
    if suffix in MIDI_SUFFIXES and not path.is_dir():
        read_song(path)  # refuses what cannot be played
        midi, name, seconds = read_midi_bytes(path), path.stem, 0.0
    elif path.is_file() and suffix != ".json":
        raise ScoreError(f"{path} has no takes yet.", hint=f"Make one: cmt-bridge score {path.name!r}.")
    else:
        score = read_score(path)
        written = list(path.glob("*.mid")) if path.is_dir() else []  # it may be an edited one
        midi = read_midi_bytes(written[0]) if len(written) == 1 else midi_bytes(score)
        seconds = score.duration
        name = folder.absolute().name if path.is_dir() or path.name == SCORE_NAME else path.stem
    return _Music(midi, folder / short(name if video is None else video.stem), seconds)


def _check_output(output: Path, video: Path | None, count: int) -> None:
    if count > 1:
        raise UsageError("-o names one file, and there are several takes.", hint="Leave -o out, or name one --take.")
    if output.exists():
        raise OutputError(f"{output} exists already.", hint="Name another file with -o, or leave -o out.")
    if video is None and output.suffix.lower() != ".wav":
        raise UsageError(f"{output.name} is not a .wav file.", hint="Add --video CLIP to write a video.")


def _written(
    music: _Music, video: Path | None, output: Path | None, options: PreviewOptions, progress: Progress
) -> Previewed:
    from cmt_bridge.outputs import audio

    target = music.stem.with_name(f"{music.stem.name}.preview") if output is None else output
    if video is not None:
        made = under_film(music.midi, video, target, options, exact=output is not None, progress=progress)
        return Previewed(made.path, music.take, made.seconds, made.soundfont, made.notes)
    font = audio.find_soundfont(options.soundfont)
    sound = audio.render(music.midi, font, renderer=options.renderer)
    seconds = music.seconds or len(sound) / audio.SAMPLE_RATE
    sound = audio.level(audio.fit(sound, seconds))
    if output is None:
        names = numbered(target.with_name(f"{target.name}.wav"))
        path = new_file(names, lambda new: audio.write_wav(sound, new))
    else:
        path = output
        audio.write_wav(sound, path)
    return Previewed(path, music.take, seconds, font, ("Without --video only the sound is written.",))


@takes_paths
def under_film(
    midi: bytes, video: Path, target: Path, options: PreviewOptions, *, exact: bool = False, progress: Progress
) -> Previewed:
    """Write a copy of a film with the music of MIDI bytes in it; `target` and `exact` are as in `write_preview`."""
    from cmt_bridge.outputs import audio
    from cmt_bridge.outputs.filmsound import mixed, read_film_sound
    from cmt_bridge.outputs.preview import measure_picture, write_preview

    picture = measure_picture(video)
    font = audio.find_soundfont(options.soundfont)
    music = audio.fit(audio.render(midi, font, renderer=options.renderer), picture.seconds)
    film, fault = read_film_sound(video, picture) if options.film_sound else (None, "")
    path = write_preview(video, picture, mixed(music, film), target, exact=exact, progress=progress)
    return Previewed(path, None, picture.seconds, font, (fault,) if fault else ())
