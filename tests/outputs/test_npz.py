from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import BAR, COLUMNS, Column, Type
from cmt_bridge.errors import InputError, ScoreError
from cmt_bridge.outputs.npz import TokenSong, kind_of, read_control, read_songs, write_control, write_songs

TEMPO = TempoMap.constant(120)
CONTROL = ControlTrack(TEMPO, (8, 0, 16), (ControlBeat(0, 1), ControlBeat(10, 2), ControlBeat(33, 4)), n_beat=46)


def make_song(name: str = "a", bars: int = 3) -> TokenSong:
    """Give a song with one piano note at the start of each bar."""
    rows = np.zeros((3 * bars, COLUMNS), np.int64)
    rows[:, Column.POSITION] = np.repeat(np.arange(bars) * 16, 3)
    rows[0::3, [Column.TYPE, Column.BEAT, Column.DENSITY]] = Type.RHYTHM, BAR, 2
    rows[1::3, [Column.TYPE, Column.BEAT, Column.DENSITY]] = Type.RHYTHM, 1, 1
    rows[1::3, [Column.INSTRUMENT, Column.STRENGTH]] = 2, 1
    rows[2::3, [Column.TYPE, Column.PITCH, Column.DURATION, Column.INSTRUMENT]] = Type.NOTE, 61, 5, 2
    return TokenSong(name, rows, n_beat=bars * 16 - 12, instruments=("Piano",))


def test_control_rows_are_those_of_the_original(tmp_path: Path) -> None:
    write_control(CONTROL, tmp_path / "v.npz")
    rows = np.load(tmp_path / "v.npz")["input"]
    assert rows.dtype == np.int64
    assert rows.tolist() == [
        [17, 9, 0, 0, 46, 1],
        [1, 0, 1, 0, 46, 1],
        [11, 0, 2, 10, 46, 23],
        [17, 1, 0, 16, 46, 36],
        [17, 17, 0, 32, 46, 71],
        [2, 0, 4, 33, 46, 73],
    ]
    assert kind_of(tmp_path / "v.npz") == "video"
    assert read_control(tmp_path / "v.npz", TEMPO) == CONTROL


def test_one_song_is_written_padded_and_unpadded(tmp_path: Path) -> None:
    write_songs([make_song()], tmp_path / "s.npz")
    arrays = np.load(tmp_path / "s.npz", allow_pickle=True)
    assert arrays["x"].shape == arrays["y"].shape == (1, 9999, 10)
    assert arrays["decoder_mask"].sum() == arrays["de_len"] == len(arrays["tokens"]) == 10
    assert (arrays["x"][0, :10] == arrays["tokens"]).all()
    assert (arrays["y"][0, :9] == arrays["tokens"][1:]).all()
    assert arrays["tokens"][-5].tolist() == [2, 0, 0, 61, 5, 2, 0, 16, 36, 44]
    assert arrays["tokens"][-1].tolist() == [0] * 10
    assert arrays["metadata"][0]["instruments"] == arrays["instruments"].tolist() == ["Piano"]
    assert (arrays["n_beat"], arrays["n_bars"]) == (36, 3)


def test_the_timing_column_is_cut_as_the_original_cuts_it(tmp_path: Path) -> None:
    song = make_song(bars=1)
    song.rows[:, Column.POSITION] = 29
    write_songs([TokenSong("a", song.rows, n_beat=100)], tmp_path / "s.npz")
    assert np.load(tmp_path / "s.npz")["tokens"][0, 9] == 28  # 29 / 100 * 100 is below 29


def test_songs_come_back_with_their_names(tmp_path: Path) -> None:
    songs = [make_song("first", 2), make_song("second", 4)]
    write_songs(songs, tmp_path / "s.npz")
    back = list(read_songs(tmp_path / "s.npz"))
    assert [(s.name, s.n_beat, s.instruments) for s in back] == [("first", 20, ("Piano",)), ("second", 52, ("Piano",))]
    for song, given in zip(back, songs, strict=True):
        assert (song.rows[:, : Column.TIMING] == given.rows[:, : Column.TIMING]).all()
        assert (song.rows[:, Column.POSITION] == given.rows[:, Column.POSITION]).all()


def test_a_song_longer_than_the_originals_arrays_is_not_cut(tmp_path: Path) -> None:
    write_songs([make_song(bars=4000), make_song()], tmp_path / "s.npz")
    assert [len(song.rows) for song in read_songs(tmp_path / "s.npz")] == [12_000, 9]


def test_names_never_lead_to_another_folder(tmp_path: Path) -> None:
    write_songs([make_song("../../etc/x"), make_song("")], tmp_path / "s.npz")
    assert [song.name for song in read_songs(tmp_path / "s.npz")] == ["_.._etc_x", "s 2"]


def test_no_pickle_is_ever_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> object:
            return Path.touch, (tmp_path / "run",)

    write_songs([make_song("kept"), make_song()], tmp_path / "good.npz")
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(tmp_path / "good.npz") as good, zipfile.ZipFile(tmp_path / "evil.npz", "w") as evil:
        evil.writestr("x.npy", good.read("x.npy"))
        evil.writestr("metadata.npy", buffer.getvalue() + pickle.dumps(Evil()))
    assert [song.name for song in read_songs(tmp_path / "evil.npz")] == ["evil 1", "evil 2"]
    np.savez(tmp_path / "objects.npz", input=np.array([Evil()], dtype=object))
    with pytest.raises(ScoreError, match="unexpected kind"):
        read_control(tmp_path / "objects.npz", TEMPO)
    assert not (tmp_path / "run").exists()


def test_of_two_beats_on_a_tick_the_strongest_stays(tmp_path: Path) -> None:
    rows = [[17, 5, 0, 0, 9, 1], [3, 0, 2, 2, 9, 23], [3, 0, 7, 2, 9, 23], [3, 0, 1, 2, 9, 23]]
    np.savez(tmp_path / "v.npz", input=np.array(rows))
    assert read_control(tmp_path / "v.npz", TEMPO).beats == (ControlBeat(2, 7),)


BAR_ROW = [17, 5, 0, 0, 9, 1]


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("input", np.zeros((0, 6)), "holds no bar"),
        ("input", np.zeros((3, 5)), "not rows × 6"),
        ("input", np.array([BAR_ROW]) * 0.3, "no classes"),
        ("input", np.array([BAR_ROW]) * np.nan, "no classes"),
        ("input", np.array([[3, 0, 2, 2, 9, 23], BAR_ROW]), "neither a bar nor a beat"),
        ("input", np.array([[17, 40, 0, 0, 9, 1]]), "neither a bar nor a beat"),
        ("input", np.array([[17, 5, 0, 0, -9, 1]]), "length of -9 ticks"),
        ("input", np.array([BAR_ROW], dtype=str), "unexpected kind"),
        ("tokens", np.zeros((4, 9), int), r"songs × rows × 10"),
        ("tokens", np.full((4, 10), 200), "no compound word has"),
        ("tokens", np.full((4, 10), -1), "no compound word has"),
        ("x", np.zeros((1, 2, 3, 10), int), r"songs × rows × 10"),
        ("other", np.zeros(3), "neither a video's"),
    ],
)
def test_arrays_of_another_kind_are_named(tmp_path: Path, name: str, array: np.ndarray, message: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **{name: array})
    with pytest.raises(ScoreError, match=message):
        _ = read_control(path, TEMPO) if name == "input" else list(read_songs(path))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_control(CONTROL, tmp_path / "good.npz")
    good = (tmp_path / "good.npz").read_bytes()
    path = tmp_path / "a.npz"
    random = np.random.default_rng(3)
    for data in (b"", b"text", good[:-30], good[:60]):
        path.write_bytes(data)
        with pytest.raises(ScoreError, match=r"not a \.npz"):
            kind_of(path)
    for _ in range(200):
        data = np.frombuffer(good, np.uint8).copy()
        data[random.integers(0, len(data), 3)] = random.integers(0, 256)
        path.write_bytes(data.tobytes())
        try:
            read_control(path, TEMPO)
        except InputError:
            continue
    with pytest.raises(ScoreError, match="Cannot read"):
        kind_of(tmp_path)


@pytest.mark.shared
def test_the_authors_videos_come_back_equal(shared: Path, tmp_path: Path) -> None:
    paths = sorted((shared / "reference" / "authors").glob("*.npz"))
    assert paths
    for path in paths:
        write_control(read_control(path, TEMPO), tmp_path / path.name)
        assert np.array_equal(np.load(path)["input"], np.load(tmp_path / path.name)["input"])
