"""The array files of the original: `.npz` of a video's control and `.npz` of songs as compound words.

A video file holds `input` (rows × 6). A song file holds `x` and `y` (songs × rows × 10, `y` one row ahead),
`decoder_mask` and `metadata`; one song alone also stands unpadded in `tokens`, with `de_len`, `instruments`, `n_beat`
and `n_bars`. Sources: the released code's `metadata2numpy_mix.py` and `midi2numpy_mix.py`.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.bounds import BARS
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.files import complete_path
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.tempo import TICKS_PER_BAR, TempoMap
from cmt_bridge.core.tokens import BAR, COLUMNS, MAX_POSITION, Column, TokenRows, Type, beat_timing
from cmt_bridge.errors import ScoreError

__all__ = [
    "SONG_ROWS",
    "SongColumn",
    "TokenSong",
    "VideoColumn",
    "kind_of",
    "read_control",
    "read_songs",
    "song_array",
    "write_control",
    "write_songs",
]

SONG_ROWS = 10_000
"""Rows to which the original pads a song, its EOS included; `x` and `y` have one less."""


class VideoColumn(IntEnum):
    """The columns of a video's `input`."""

    BEAT = 0  # 17 bar line, else tick + 1
    DENSITY = 1  # bar rows: density class + 1
    STRENGTH = 2  # visual beats: strength class
    I_BEAT = 3  # tick since the start
    N_BEAT = 4  # length of the video in ticks
    P_BEAT = 5  # per cent of it + 1


class SongColumn(IntEnum):
    """The columns of a song's rows."""

    TYPE = 0
    BEAT = 1
    DENSITY = 2
    PITCH = 3
    DURATION = 4
    INSTRUMENT = 5
    STRENGTH = 6
    I_BEAT = 7
    N_BEAT = 8
    P_BEAT = 9  # per cent, cut; the network adds 1


SAME_COLUMNS: tuple[tuple[Column, SongColumn], ...] = tuple(
    (Column[column.name], column) for column in SongColumn if column < SongColumn.I_BEAT
)

HIGHEST: Mapping[SongColumn, int] = {
    SongColumn.TYPE: Type.NOTE,
    SongColumn.BEAT: BAR,
    SongColumn.DENSITY: TICKS_PER_BAR + 1,
    SongColumn.PITCH: 128,
    SongColumn.DURATION: TICKS_PER_BAR + 1,
    SongColumn.INSTRUMENT: 5,
}


@dataclass(frozen=True)
class TokenSong:
    """A song as compound words: `rows` without EOS, its length `n_beat` in ticks, the names of its tracks."""

    name: str
    rows: TokenRows
    n_beat: int
    instruments: tuple[str, ...] = ()


# Writing


def song_array(song: TokenSong) -> npt.NDArray[np.int64]:
    """Return the original's rows of a song, shape (rows + 1, 10), the last being EOS."""
    array = np.zeros((len(song.rows) + 1, len(SongColumn)), np.int64)
    for ours, theirs in SAME_COLUMNS:
        array[:-1, theirs] = song.rows[:, ours]
    position = song.rows[:, Column.POSITION]
    array[:-1, SongColumn.I_BEAT] = position
    array[:-1, SongColumn.N_BEAT] = song.n_beat
    array[:-1, SongColumn.P_BEAT] = (position / max(1, song.n_beat) * 100).astype(np.int64)  # cut, in this order
    return array


def _save(arrays: Mapping[str, Any], path: Path) -> None:
    with complete_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=True, **arrays)


@takes_paths
def write_songs(songs: Sequence[TokenSong], path: Path) -> None:
    """Write songs as the original's training file; one song alone also as its unpadded `tokens`.

    Songs are padded with zeros to 9,999 rows, or to the longest where that is longer. Raises `OutputError` where the
    file cannot be written.
    """
    arrays = [song_array(song) for song in songs]
    padded = np.zeros((len(arrays), max([SONG_ROWS, *map(len, arrays)]), len(SongColumn)), np.int64)
    mask = np.zeros(padded.shape[:2], np.int64)
    for number, array in enumerate(arrays):
        padded[number, : len(array)] = array
        mask[number, : len(array)] = 1
    metadata = np.array(
        [
            {"id": song.name, "de_len": len(array), "instruments": list(song.instruments), "genre": "N/A"}
            for song, array in zip(songs, arrays, strict=True)
        ],
        dtype=object,
    )
    content: dict[str, Any] = {"x": padded[:, :-1], "y": padded[:, 1:], "decoder_mask": mask, "metadata": metadata}
    if len(songs) == 1:
        content |= {
            "tokens": arrays[0],
            "de_len": np.int64(len(arrays[0])),
            "instruments": np.array(songs[0].instruments, dtype=str),
            "n_beat": np.int64(songs[0].n_beat),
            "n_bars": np.int64((songs[0].rows[:, Column.BEAT] == BAR).sum()),
        }
    _save(content, path)


def control_array(control: ControlTrack) -> npt.NDArray[np.int64]:
    """Return the original's rows of a control track, shape (rows, 6): each bar's, then those of its visual beats.

    `p_beat` stops at 101, the network's last class; the original exceeds it where a bar begins after the end.
    """
    rows: list[tuple[int, int, int, int]] = []
    for bar, density in enumerate(control.density):
        rows.append((BAR, density + 1, 0, bar * TICKS_PER_BAR))
        rows += [(beat.tick % TICKS_PER_BAR + 1, 0, beat.strength, beat.tick) for beat in control.beats_of(bar)]
    array = np.zeros((len(rows), len(VideoColumn)), np.int64)
    array[:, : VideoColumn.N_BEAT] = np.array(rows, np.int64).reshape(-1, VideoColumn.N_BEAT)
    array[:, VideoColumn.N_BEAT] = control.n_beat
    array[:, VideoColumn.P_BEAT] = beat_timing(array[:, VideoColumn.I_BEAT], control.n_beat)
    return array


@takes_paths
def write_control(control: ControlTrack, path: Path) -> None:
    """Write a control track as the original's video file. Raises `OutputError` where it cannot be written."""
    _save({"input": control_array(control)}, path)


# Reading. Arrays are streamed, so that a training file of gigabytes takes the memory of one song, and never unpickled:
# a pickle may run any code.

MAX_SONG_ROWS = 2**20
MAX_SONG_BARS = int(BARS.most)
MAX_CONTROL_ROWS = 2**20


def _refuse(path: Path, what: str) -> ScoreError:
    return ScoreError(f"{path} {what}.", hint="Give a .npz of the original's kind, or one that `convert` wrote.")


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise ScoreError(
            f"Cannot read {path}: {error.strerror}.", hint="Check the path and its permissions."
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, RuntimeError) as error:  # as zipfile's do
        raise _refuse(path, "is not a .npz file or is damaged") from error


def _names(archive: zipfile.ZipFile) -> set[str]:
    return {name.removesuffix(".npy") for name in archive.namelist()}


@takes_paths
def kind_of(path: Path) -> Literal["video", "songs"]:
    """Return what a `.npz` holds. Raises `ScoreError` where it is neither."""
    with _open(path) as archive:
        names = _names(archive)
    if "input" in names:
        return "video"
    if names & {"tokens", "x"}:
        return "songs"
    raise _refuse(path, "holds neither a video's `input` nor a song's `tokens` or `x`")


def _header(file: Any, path: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read(file)
    except Exception as error:  # the header is parsed as Python, with errors of many kinds
        raise _refuse(path, f"has a damaged array `{name}`") from error
    if fortran_order or not (np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.floating)):
        raise _refuse(path, f"has an array `{name}` of an unexpected kind ({dtype})")
    return shape, dtype


def _rows(file: Any, shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> npt.NDArray[np.int64]:
    size = int(np.prod(shape)) * dtype.itemsize
    data = file.read(size)
    if len(data) < size:
        raise _refuse(path, "is cut off")
    array = np.frombuffer(data, dtype).reshape(shape)
    if not np.isfinite(array).all() or (array != np.rint(array)).any() or (abs(array) > 2**31).any():
        raise _refuse(path, "holds values that are no classes")
    return array.astype(np.int64)


@takes_paths
def read_songs(path: Path) -> Iterator[TokenSong]:
    """Yield the songs of a song file one after the other; names come from its `metadata` where that is plain data.

    Raises `ScoreError` where it is no song file or holds values that no compound word has.
    """
    if kind_of(path) != "songs":
        raise _refuse(path, "holds a video, not songs")
    with _open(path) as archive:
        name = "tokens" if "tokens" in _names(archive) else "x"
        labels = _labels(archive)
        with archive.open(f"{name}.npy") as file:
            shape, dtype = _header(file, path, name)
            shape = (1, *shape) if len(shape) == 2 else shape
            if len(shape) != 3 or shape[2] != len(SongColumn) or shape[1] > MAX_SONG_ROWS:
                raise _refuse(path, f"has an array `{name}` of shape {shape}, not songs × rows × {len(SongColumn)}")
            for number in range(shape[0]):
                label = labels[number] if number < len(labels) else {}
                yield _song(_rows(file, shape[1:], dtype, path), _name(label, number, shape[0], path), label, path)


def _name(label: Mapping[str, Any], number: int, songs: int, path: Path) -> str:
    given = str(label.get("id", ""))
    # A name becomes a file's: nothing of it may lead to another folder.
    safe = "".join(letter if letter.isalnum() or letter in " ._-()" else "_" for letter in given).strip(" .")[:80]
    return safe or (path.stem if songs == 1 else f"{path.stem} {number + 1:0{len(str(songs))}}")


def _song(array: npt.NDArray[np.int64], name: str, label: Mapping[str, Any], path: Path) -> TokenSong:
    ends = np.flatnonzero(array[:, SongColumn.TYPE] == Type.EOS)
    array = array[: ends[0]] if len(ends) else array
    if (array[:, SongColumn.BEAT] == BAR).sum() > MAX_SONG_BARS:
        raise _refuse(path, f"holds more than {MAX_SONG_BARS:,} bars (in {name})")
    wrong = any((array[:, column] > highest).any() for column, highest in HIGHEST.items())
    if wrong or (array[:, : SongColumn.N_BEAT] < 0).any():
        raise _refuse(path, f"holds values that no compound word has (in {name})")
    rows = np.zeros((len(array), COLUMNS), np.int64)
    for ours, theirs in SAME_COLUMNS:
        rows[:, ours] = array[:, theirs]
    rows[:, Column.POSITION] = array[:, SongColumn.I_BEAT]
    n_beat = int(array[0, SongColumn.N_BEAT]) if len(array) else 0
    rows[:, Column.TIMING] = beat_timing(rows[:, Column.POSITION], n_beat)
    instruments = label.get("instruments", ())
    return TokenSong(name, rows, n_beat, tuple(map(str, instruments)) if isinstance(instruments, list) else ())


class _PlainUnpickler(pickle.Unpickler):
    """Unpickle arrays of plain Python data; nothing else, since a pickle may name any function."""

    ALLOWED = frozenset(
        {("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numpy", "ndarray"), ("numpy", "dtype")}
    )

    def find_class(self, module: str, name: str) -> Any:
        root, _, leaf = module.rpartition(".")
        if (leaf, name) in self.ALLOWED and root in ("", "numpy.core", "numpy._core"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


def _labels(archive: zipfile.ZipFile) -> list[Mapping[str, Any]]:
    """Return the `metadata` of each song; empty where there is none or it is more than plain data."""
    if "metadata.npy" not in archive.namelist() or archive.getinfo("metadata.npy").file_size > 2**26:
        return []
    with archive.open("metadata.npy") as stream:
        file = io.BytesIO(stream.read())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # files of NumPy 1 name its modules by their old names
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            labels = list(_PlainUnpickler(file).load())
    except Exception:  # whatever a strange pickle does, the songs are still there
        return []
    return labels if all(isinstance(label, dict) for label in labels) else []


@takes_paths
def read_control(path: Path, tempo_map: TempoMap) -> ControlTrack:
    """Read a video's control; its file states no tempo, so that of `tempo_map` is taken.

    Of several beats on one tick the strongest stays. Raises `ScoreError` where it is no video file or holds impossible
    values.
    """
    if kind_of(path) != "video":
        raise _refuse(path, "holds songs, not a video")
    with _open(path) as archive, archive.open("input.npy") as file:
        shape, dtype = _header(file, path, "input")
        if len(shape) != 2 or shape[1] != len(VideoColumn) or shape[0] > MAX_CONTROL_ROWS:
            raise _refuse(path, f"has an array `input` of shape {shape}, not rows × {len(VideoColumn)}")
        rows = _rows(file, shape, dtype, path)
    return _control(rows, tempo_map, path)


def _control(rows: npt.NDArray[np.int64], tempo_map: TempoMap, path: Path) -> ControlTrack:
    density: list[int] = []
    beats: dict[int, int] = {}
    for beat, bar_density, strength in rows[:, : VideoColumn.I_BEAT].tolist():
        if beat == BAR and 1 <= bar_density <= TICKS_PER_BAR + 1:
            density.append(bar_density - 1)
        elif 1 <= beat < BAR and density and 0 <= strength <= MAX_POSITION:
            tick = (len(density) - 1) * TICKS_PER_BAR + beat - 1
            beats[tick] = max(strength, beats.get(tick, 0))
        else:
            raise _refuse(path, f"has a row that is neither a bar nor a beat: {beat, bar_density, strength}")
    if not density:
        raise _refuse(path, "holds no bar")
    if fault := BARS.fault(len(density)):
        raise _refuse(path, f"holds {fault}")
    n_beat = int(rows[0, VideoColumn.N_BEAT])
    if not 0 < n_beat <= len(density) * TICKS_PER_BAR + TICKS_PER_BAR:
        raise _refuse(path, f"states a length of {n_beat} ticks for {len(density)} bars")
    return ControlTrack(tempo_map, tuple(density), tuple(ControlBeat(*beat) for beat in sorted(beats.items())), n_beat)
