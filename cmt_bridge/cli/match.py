"""`cmt-bridge match`: which music at hand fits a video best?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmt_bridge.cli.common import json_option, print_json, progress, talk

if TYPE_CHECKING:
    from cmt_bridge.compose.match import Match, Rhythm

__all__ = ["match"]


@click.command(short_help="Find which MIDI files at hand fit a video best.")
@click.argument("video", type=click.Path(path_type=Path))
@click.argument("library", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="How many to show.")
@json_option
def match(video: Path, library: tuple[Path, ...], top: int, as_json: bool) -> None:
    """Rank the music of LIBRARY by how well it fits VIDEO (the paper's Eq. 16).

    VIDEO is a video, a metadata.json or a video's .npz; LIBRARY are MIDI files, folders of them (searched to the
    bottom) or song .npz files. Music and video are compared bar by bar, at sixteenths, whatever the tempo of the music:
    density with motion, and the size of the largest chord with the strength of visual beats. Matchness is 1 / distance;
    for a perfect match it is infinite, in JSON null.

    \b
    Examples:
      cmt-bridge match clip.mp4 ~/midi
      cmt-bridge match metadata.json songs.npz --top 3 --json
    """
    from cmt_bridge.compose.match import match as compare
    from cmt_bridge.compose.match import rhythm_of_video
    from cmt_bridge.errors import InputError
    from cmt_bridge.pipeline import look_at

    with progress("Measuring") as done:
        wanted = rhythm_of_video(look_at(video, progress=done).control)
    skipped: list[dict[str, str]] = []
    found: list[tuple[Match, Path, str]] = []
    files = _files(library, skipped)
    with progress("Comparing") as done:
        for number, path in enumerate(files):
            try:
                for name, rhythm in _rhythms(path):
                    result = compare(rhythm, wanted)
                    if result.bars:
                        found.append((result, path, name))
            except InputError as error:
                _skip(skipped, path, error)
            done((number + 1) / len(files))
    if not found:
        raise InputError(
            "No music of the library could be compared.", hint="Give MIDI files, folders or song .npz files."
        )
    found.sort(key=lambda one: (one[0].distance, -one[0].bars, str(one[1]), one[2]))
    if as_json:
        print_json(_as_json(video, wanted.bars, found[:top], len(found), skipped))
        return
    click.echo("rank  matchness  distance  bars  music")
    for rank, (result, path, name) in enumerate(found[:top], 1):
        label = f"{path} [{name}]" if path.suffix.lower() == ".npz" else str(path)
        click.echo(f"{rank:4}  {result.matchness:9.4f}  {result.distance:8.4f}  {result.bars:4}  {label}")


def _skip(skipped: list[dict[str, str]], path: Path, error: Exception) -> None:
    talk(f"skipped: {error}")
    skipped.append({"path": str(path), "reason": str(error)})


def _files(library: tuple[Path, ...], skipped: list[dict[str, str]]) -> list[Path]:
    from cmt_bridge.errors import InputError
    from cmt_bridge.midi.file import find_midi

    files: list[Path] = []
    for path in library:
        if not path.is_dir():
            files.append(path)
            continue
        inside = find_midi(path)
        if not inside:
            _skip(skipped, path, InputError(f"{path} holds no MIDI file."))
        files += inside
    return list(dict.fromkeys(files))


def _rhythms(path: Path) -> Iterator[tuple[str, Rhythm]]:
    """Give every song of a file with its name."""
    from cmt_bridge.compose import codec
    from cmt_bridge.compose.match import rhythm_of_rows
    from cmt_bridge.midi.song import read_song
    from cmt_bridge.outputs.npz import read_songs

    if path.suffix.lower() == ".npz":
        for song in read_songs(path):
            yield song.name, rhythm_of_rows(song.rows)
        return
    notes, length = codec.quantize(read_song(path))
    yield path.stem, rhythm_of_rows(codec.encode(notes, codec.bars_of(length)))


def _as_json(
    video: Path, bars: int, shown: list[tuple[Match, Path, str]], compared: int, skipped: list[dict[str, str]]
) -> dict[str, Any]:
    return {
        "video": str(video),
        "bars": bars,
        "compared": compared,
        "matches": [
            {
                "rank": rank,
                "path": str(path),
                "song": name,
                "matchness": result.matchness if math.isfinite(result.matchness) else None,
                "distance": result.distance,
                "bars": result.bars,
            }
            for rank, (result, path, name) in enumerate(shown, 1)
        ],
        "skipped": skipped,
    }
