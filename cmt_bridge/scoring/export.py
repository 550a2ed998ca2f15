"""Export takes: a project of a DAW, a timeline, lists of hit points, MIDI for one host; each beside what is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from cmt_bridge.core.bounds import JSON_BYTES
from cmt_bridge.core.files import (
    complete_path,
    is_there,
    new_file,
    new_folder,
    numbered,
    read_at_most,
    short,
    with_addition,
)
from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from cmt_bridge.core.metadata import VideoMetadata
    from cmt_bridge.core.score import Score
    from cmt_bridge.projects.arrangement import Arrangement, Film
    from cmt_bridge.takes.take_folder import TakeFolder

__all__ = [
    "FORMATS",
    "Exported",
    "Format",
    "add_to",
    "arrangement_of",
    "export",
    "film_of",
    "format_of",
    "music_of",
    "writer_of",
]


ARRAYS: Final = (".json", ".npz")  # what was measured elsewhere, and shows nothing


@dataclass(frozen=True, slots=True)
class Format:
    """What can be written: `suffix` goes after the title, `{bpm}` in it is the tempo; `what` is what it is."""

    name: str
    suffix: str
    what: str
    is_folder: bool = False


FORMATS: Final[Mapping[str, Format]] = {
    each.name: each
    for each in (
        Format("reaper", ".RPP", "a REAPER project with the video, all takes, tempo map, markers and regions"),
        Format("dawproject", ".dawproject", "a DAWproject for Bitwig, Studio One, Cubase"),
        Format("ardour", " ardour", "an Ardour 7 session, in a folder of its own", is_folder=True),
        Format("midi", ".mid", "MIDI with tempo map and markers, for Logic and all others"),
        Format("garageband", " {bpm} BPM.mid", "MIDI of one tempo, which is in its name"),
        Format("parts", " parts", "a MIDI file of each part, in a folder of their own", is_folder=True),
        Format("otio", ".otio", "an OpenTimelineIO timeline: shots, cuts, hit points"),
        Format("csv", " hits.csv", "hit points as a table"),
        Format("edl", ".edl", "shots and hit points as a CMX 3600 list"),
    )
}


@dataclass(frozen=True, slots=True)
class Exported:
    """A file or folder for a session; `fresh` is False where it was there already, the same byte for byte.

    `notes` are sentences about what its format cannot say as it is.
    """

    format: str
    path: Path
    fresh: bool = True
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's plain values."""
        return {"format": self.format, "path": str(self.path), "fresh": self.fresh, "notes": list(self.notes)}


def format_of(name: str) -> Format:
    """Return a format by its name or its host's. Raises `UsageError` where there is none."""
    found = FORMATS.get(HOSTS[name].project if name in HOSTS else name)
    if found is None:
        known = dict.fromkeys((*HOSTS, *FORMATS))
        raise UsageError(f"There is no project of the kind {name!r}.", hint=f"Choose from {', '.join(known)}.")
    return found


@takes_paths
def arrangement_of(
    path: Path, take: int | None = None, *, start: str | None = None, rate: str | None = None
) -> tuple[Arrangement, TakeFolder, int]:
    """Return the music for a video, or for its project folder, with its project and the number of the take that is
    heard.

    That is the current one where none is named; takes that were rejected are left out. `start` is the timecode of the
    first picture, the film's own where it is empty, and `rate` that at which it counts; where they are None, the
    [outputs] of cmt-bridge.toml say so. Raises `ScoreError` where there are no takes, `UsageError` where there is none
    of that number, or no such timecode.
    """
    from cmt_bridge.config import read_config
    from cmt_bridge.core.timecode import counting_of
    from cmt_bridge.midi.markers import markers_in
    from cmt_bridge.projects.arrangement import arranged, version_of
    from cmt_bridge.takes.locate import require_take_folder

    project = require_take_folder(path)
    heard = project.current() if take is None else project.take(take)
    marks = project.history().marks
    kept = [each for each in project.takes() if each.number == heard.number or marks.get(each.number) != "rejected"]
    score = heard.score()
    metadata = _metadata(heard.folder)
    film = _film(path, project, metadata) if metadata is not None else None
    if film is not None and metadata is not None and not metadata.source.nominal_rate[0]:
        score = _labelled(score, film)
    if start is None or rate is None:
        usual = read_config(project.folder.absolute().parent).outputs
        start, rate = usual.start if start is None else start, usual.rate if rate is None else rate
    versions = [version_of(each.midi, f"take {each.number}") for each in kept]
    current = [each.number for each in kept].index(heard.number)
    arrangement = arranged(
        project.name,
        versions,
        current,
        markers=markers_in(versions[current].marks, versions[current].line, score.markers),
        duration=score.duration or float(score.tempo_map.seconds(score.ticks)),
        counting=counting_of(
            score.frame_rate, score.timecode, offset=film.offset if film else 0, start=start, rate=rate
        ),
        film=film,
    )
    return arrangement, project, heard.number


def _metadata(folder: Path) -> VideoMetadata | None:
    """Return what was measured of a take's video, where that is there."""
    from cmt_bridge.core.metadata import VideoMetadata
    from cmt_bridge.outputs.scorefile import METADATA_NAME, read_json

    said = folder / METADATA_NAME
    return VideoMetadata.from_json(read_json(said), source=str(said)) if is_there(said) else None


def _labelled(score: Score, film: Film) -> Score:
    """Return a score that was made when nobody asked a film for its timecode, with what its file states of it."""
    from cmt_bridge.video.labels import stated_labels

    found = stated_labels(film.path)
    return score if found is None else replace(score, frame_rate=found[0].as_integer_ratio(), timecode=found[1])


def _film(path: Path, project: TakeFolder, metadata: VideoMetadata) -> Film | None:
    """Return the video of a take, where it is there."""
    beside = [project.folder.parent / video["name"] for video in reversed(project.videos())]
    films = (film_of(each, metadata) for each in (path.absolute(), *beside))
    return next((film for film in films if film is not None), None)


@takes_paths
def film_of(video: Path, metadata: VideoMetadata) -> Film | None:
    """Return a video as a project shows it; None where there is no such file, or none with pictures."""
    from cmt_bridge.projects.arrangement import Film

    if not video.is_file() or video.suffix.lower() in ARRAYS:
        return None
    source = metadata.source
    return Film(video, metadata.duration, source.width, source.height, source.offset)


@takes_paths
def music_of(path: Path, take: int | None = None) -> dict[str, Any]:
    """Return the music of one take as data, for programs that lay it out themselves. Raises as `arrangement_of`
    does.
    """
    from cmt_bridge.midi.events import releases, strikes

    arrangement, _, number = arrangement_of(path, take)
    version, counting = arrangement.version, arrangement.counting
    return {
        "take": number,
        "title": arrangement.title,
        "division": version.division,
        "tempos": [list(each) for each in version.tempos],
        "metres": [list(each) for each in version.metres],
        "length": version.length,
        "duration": arrangement.duration,
        "offset": float(arrangement.offset),
        "frame_rate": list((counting.nominal if counting.is_known else Fraction(0)).as_integer_ratio()),
        "timecode": {
            "start": str(counting.start),
            "own": str(counting.own),
            "rate": list(counting.rate.frames.as_integer_ratio()) if counting.is_known else [0, 1],
            "drop_frame": counting.rate.drop > 0,
        },
        "parts": [
            {
                "name": part.name,
                "channel": part.channel,
                "program": part.program,
                "colour": list(part.colour),
                "notes": [[n.start, n.end, n.channel, n.pitch, n.velocity] for n in part.notes],
                "events": [[tick, m.hex()] for tick, m in part.events if not (strikes(m) or releases(m))],
            }
            for part in version.parts
        ],
        "markers": [[mark.seconds, mark.kind, mark.text] for mark in arrangement.markers],
        "sections": [[each.start, each.end, each.name] for each in arrangement.sections],
    }


@takes_paths
def export(
    path: Path,
    formats: Iterable[str],
    *,
    take: int | None = None,
    folder: Path | None = None,
    start: str | None = None,
    rate: str | None = None,
    ascii_names: bool = False,
) -> list[Exported]:
    """Write what a session can open, beside the video or in `folder`; nothing that is there is touched.

    A name that is taken gets the take's number, then others. `formats` are names of `FORMATS` or hosts, `start` and
    `rate` as for `arrangement_of`; `ascii_names` has MIDI files in ASCII. Raises `UsageError`, `ScoreError`,
    `OutputError`.
    """
    from cmt_bridge.projects.shortcomings import shortcomings

    wanted = list(dict.fromkeys(format_of(name).name for name in formats))
    arrangement, project, number = arrangement_of(path, take, start=start, rate=rate)
    there = (project.folder.parent if folder is None else folder).absolute()
    found = []
    for name in wanted:
        kind = FORMATS[name]
        if kind.is_folder:
            made = _write_folder(kind, arrangement, there, number, ascii_names)
        else:
            made = [_write(kind, arrangement, project.take(number).midi, there, number, ascii_names)]
        notes = shortcomings(name, arrangement)
        found += [replace(each, notes=notes) for each in made]
    return found


@takes_paths
def writer_of(
    score: Score, name: str, path: Path, *, film: Film | None = None, start: str = "", rate: str = ""
) -> Callable[[Path], None]:
    """Return what writes a score, in no take, in a format; all that can be refused is refused before.

    Args:
        score: The score.
        name: The name of a format or of its host.
        path: Where the file or folder is going to be, so that the video is found from there.
        film: The video.
        start: Timecode of its first picture, its own where it is empty.
        rate: Rate at which timecode counts, its own where it is empty.

    Returns a function of the path to write to, a folder that is there for formats that are folders. Raises
    `UsageError` for an unknown format or timecode.
    """
    from cmt_bridge.core.timecode import counting_of
    from cmt_bridge.outputs.midi import write_midi
    from cmt_bridge.projects.ardour import synth_here, write_session
    from cmt_bridge.projects.arrangement import arranged, version_of
    from cmt_bridge.projects.parts import part_files

    kind = format_of(name)
    counting = counting_of(score.frame_rate, score.timecode, offset=film.offset if film else 0, start=start, rate=rate)
    title = score.title or path.stem

    def write(target: Path) -> None:
        with TemporaryDirectory() as folder:
            midi = Path(folder) / "take 1.mid"
            write_midi(score, midi)
            arrangement = arranged(
                title,
                [version_of(midi, midi.stem)],
                0,
                markers=score.markers,
                duration=score.duration or float(score.tempo_map.seconds(score.ticks)),
                counting=counting,
                film=film,
            )
            if kind.name == "ardour":
                write_session(arrangement, target, name=path.name, synth=synth_here())
            elif kind.name == "parts":
                for file, data in part_files(arrangement).items():
                    (target / file).write_bytes(data)
            else:
                seen = None if film is None else _seen_from(path.absolute().parent, film.path.absolute())
                target.write_bytes(_content(kind.name, arrangement, midi, seen)[0])

    return write


@takes_paths
def add_to(existing: Path, path: Path, *, take: int | None = None, at: Fraction = Fraction(0)) -> Exported:
    """Write a REAPER project or an Ardour snapshot that is there once more, with our music in it at `at` seconds.

    It goes beside the one that is there, which is not touched. Raises `UsageError` where that is of another kind,
    `InputError` where it cannot be read, `ScoreError`, `OutputError`.
    """
    kind = {".rpp": "reaper", ".ardour": "ardour"}.get(existing.suffix.lower())
    if kind is None:
        raise UsageError(f"Nothing can be added to {existing.name}.", hint="Give a .RPP or a .ardour file.")
    try:
        data = read_at_most(existing, JSON_BYTES)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{existing} cannot be read: {error}.", hint="Check the path and its permissions.") from error
    if len(data) > JSON_BYTES:
        raise InputError(f"{existing} is larger than {JSON_BYTES >> 20} MB.", hint="Is it a project?")
    arrangement, _, number = arrangement_of(path, take)
    there = existing.absolute().parent
    target = there / f"{short(f'{existing.stem} with {arrangement.title}')}{existing.suffix}"
    from cmt_bridge.projects.shortcomings import moved_takes

    if kind == "reaper":
        from cmt_bridge.projects.reaper import added as added_to_reaper

        film = None if arrangement.film is None else _seen_from(there, arrangement.film.path)
        text = added_to_reaper(text, arrangement, film, at=at)
    else:
        text = _added_to_ardour(text, arrangement, there, at)
    made = text.encode()
    written = new_file(_names(target, number), lambda temporary: temporary.write_bytes(made))
    return Exported(kind, written, notes=moved_takes(kind, arrangement))


def _added_to_ardour(text: str, arrangement: Arrangement, session: Path, at: Fraction) -> str:
    """Return the snapshot; its MIDI files are written, under names of their own."""
    from cmt_bridge.projects.ardour import added as added_to_ardour
    from cmt_bridge.projects.ardour import synth_here

    inside = [session / "interchange", *sorted((session / "interchange").glob("*"))]
    folders = [each / "midifiles" for each in inside[1:] if each.is_dir()]
    if not folders:
        raise InputError(f"{session} is no folder of an Ardour session.", hint="Give the .ardour file where it lies.")
    for each in (*inside, *folders):
        if each.is_symlink():
            raise InputError(f"{each} is a link, and in a session none is followed.", hint="Put the folder there.")
    taken = [each.name for folder in folders if folder.is_dir() for each in folder.iterdir()]
    text, files = added_to_ardour(text, arrangement, at=at, taken=taken, synth=synth_here())
    for name, data in files.items():
        with complete_path(folders[0] / name) as temporary:
            temporary.write_bytes(data)
    return text


def _write_folder(kind: Format, arrangement: Arrangement, folder: Path, take: int, ascii_names: bool) -> list[Exported]:
    """Write a session, in a folder that is new; or files of parts, into one that may be there."""
    there = folder / f"{arrangement.title}{kind.suffix}"
    if kind.name == "parts":
        from cmt_bridge.projects.parts import part_files

        if there.is_symlink():
            raise OutputError(f"{there} is a link to another folder.", hint="Move it away, or write elsewhere with -o.")
        files = part_files(arrangement)
        if ascii_names:
            from cmt_bridge.midi.plain import in_ascii

            files = {name: in_ascii(data, there / name) for name, data in files.items()}
        return [_put(kind, data, (there / name,), numbered(there / name)) for name, data in files.items()]
    from cmt_bridge.projects.ardour import synth_here, write_session

    def fill(temporary: Path) -> None:
        write_session(arrangement, temporary, name=arrangement.title, synth=synth_here())

    return [Exported(kind.name, new_folder(_names(there, take), fill))]


def _write(kind: Format, arrangement: Arrangement, midi: Path, folder: Path, take: int, ascii_names: bool) -> Exported:
    film = None if arrangement.film is None else _seen_from(folder, arrangement.film.path)
    data, bpm = _content(kind.name, arrangement, midi, film)
    if ascii_names and kind.suffix.endswith(".mid"):
        from cmt_bridge.midi.plain import in_ascii

        data = in_ascii(data, midi)
    first = folder / f"{arrangement.title}{kind.suffix.format(bpm=bpm)}"
    return _put(kind, data, (first, _numbered(first, take)), _names(first, take))


def _put(kind: Format, data: bytes, perhaps: Iterable[Path], names: Iterable[Path]) -> Exported:
    """Write a file, unless it is there, the same byte for byte, under one of the names that it has perhaps."""
    for path in perhaps:
        if path.is_file() and not path.is_symlink() and read_at_most(path, len(data)) == data:
            return Exported(kind.name, path, fresh=False)
    return Exported(kind.name, new_file(names, lambda temporary: temporary.write_bytes(data)))


def _content(name: str, arrangement: Arrangement, midi: Path, film: str | None) -> tuple[bytes, str]:
    """Return the bytes of a file, and the tempo that goes into its name."""
    from cmt_bridge.projects import constant, dawproject, hits, reaper, timeline

    if name == "garageband":
        tempo, data = constant.constant_tempo(arrangement)
        return data, f"{tempo:.2f}"
    files: dict[str, Callable[[], bytes | str]] = {
        "reaper": lambda: reaper.reaper_text(arrangement, film),
        "dawproject": lambda: dawproject.dawproject_bytes(arrangement, film),
        "midi": lambda: _midi(midi, arrangement),
        "otio": lambda: timeline.timeline_text(arrangement, film),
        "csv": lambda: hits.hits_csv(arrangement),
        "edl": lambda: hits.hits_edl(arrangement, film),
    }
    made = files[name]()
    return (made if isinstance(made, bytes) else made.encode()), ""


def _midi(midi: Path, arrangement: Arrangement) -> bytes:
    """Return the take's own file, which states the timecode at which it begins."""
    from cmt_bridge.midi.file import read_midi, read_midi_bytes
    from cmt_bridge.projects.offset import offset_stated

    stated = offset_stated(read_midi(midi), arrangement.counting)
    return read_midi_bytes(midi) if stated is None else stated


def _seen_from(folder: Path, file: Path) -> str:
    """Return a path as a project in a folder states it: relative, with `/`; absolute where there is no way between.

    A link goes by its own name, so that nothing is told of where it leads.
    """
    try:
        place = os.path.relpath(os.path.realpath(file.parent), os.path.realpath(folder))
        return (Path(place) / file.name).as_posix()
    except ValueError:  # another drive
        return file.as_posix()


def _numbered(path: Path, take: int) -> Path:
    return with_addition(path, f" take {take}") if path.suffix else Path(f"{path} take {take}")


def _names(path: Path, take: int) -> Iterator[Path]:
    """Yield the names that a file may have: its own, that with the take's number, and others after that."""
    yield path
    yield from numbered(_numbered(path, take))
