"""Rank music at hand by how well it fits a video (the paper's Eq. 16)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmt_bridge.composition import codec
from cmt_bridge.composition.match import Match, Rhythm, match, rhythm_of_rows, rhythm_of_video
from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import InputError
from cmt_bridge.midi.file import find_midi
from cmt_bridge.midi.song import read_song
from cmt_bridge.outputs.npz import read_songs

__all__ = ["Ranked", "Ranking", "Skipped", "rank"]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A song: how it matches the video, the file that it is in, and its name."""

    match: Match
    path: Path
    song: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that could not be compared, and why, in a sentence."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Ranking:
    """Songs by how well they match, the best first, what was skipped, and how many bars the video has."""

    bars: int
    songs: tuple[Ranked, ...]
    skipped: tuple[Skipped, ...]


@takes_paths
def rank(
    control: ControlTrack,
    library: Sequence[Path],
    *,
    on_progress: Callable[[float], None] = lambda _: None,
    on_skip: Callable[[Skipped], None] = lambda _: None,
) -> Ranking:
    """Return the songs of a library by how well they fit a video.

    Args:
        control: What the video asks for, bar by bar; `pipeline.look_at(video).control`.
        library: MIDI files, folders of them, which are searched to the bottom, and .npz files of songs.
        on_progress: Called with the share of files compared, 0 to 1.
        on_skip: Called with each file or folder that cannot be compared, at once.

    Raises:
        InputError: Nothing of the library could be compared.
    """
    skipped: list[Skipped] = []

    def skip(path: Path, error: InputError) -> None:
        skipped.append(Skipped(path, str(error)))
        on_skip(skipped[-1])

    wanted = rhythm_of_video(control)
    songs: list[Ranked] = []
    files = _files(library, skip)
    for number, path in enumerate(files):
        try:
            for name, rhythm in _rhythms(path):
                result = match(rhythm, wanted)
                if result.bars:
                    songs.append(Ranked(result, path, name))
        except InputError as error:
            skip(path, error)
        on_progress((number + 1) / len(files))
    if not songs:
        raise InputError(
            "No music of the library could be compared.", hint="Give MIDI files, folders or song .npz files."
        )
    songs.sort(key=lambda each: (each.match.distance, -each.match.bars, str(each.path), each.song))
    return Ranking(wanted.bars, tuple(songs), tuple(skipped))


def _files(library: Sequence[Path], skip: Callable[[Path, InputError], None]) -> list[Path]:
    files: list[Path] = []
    for path in library:
        if not path.is_dir():
            files.append(path)
            continue
        inside = find_midi(path)
        if not inside:
            skip(path, InputError(f"{path} holds no MIDI file."))
        files += inside
    return list(dict.fromkeys(files))


def _rhythms(path: Path) -> Iterator[tuple[str, Rhythm]]:
    """Yield the name and the rhythm of each song of a file."""
    if path.suffix.lower() == ".npz":
        for song in read_songs(path):
            yield song.name, rhythm_of_rows(song.rows)
        return
    notes, length = codec.quantize(read_song(path))
    yield path.stem, rhythm_of_rows(codec.encode(notes, codec.bars_of(length)))
