from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import mido
import numpy as np
import pytest

from cmt_bridge.composition.codec import Grid, quantize
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.errors import InputError, OutputError, UsageError
from cmt_bridge.midi.song import read_song
from cmt_bridge.training.corpus import build_dataset
from cmt_bridge.training.dataset import Dataset, Piece, open_dataset
from cmt_bridge.training.parts import FEW_FILES
from tests.training.music import write_song


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pieces(dataset: Dataset) -> dict[str, Piece]:
    return {piece.name: piece for piece in dataset.training + dataset.held_out}


def built(tmp_path: Path, *folders: Path, **options: object) -> Dataset:
    build_dataset(folders or [tmp_path / "music"], tmp_path / "dataset", **options)  # type: ignore[arg-type]
    return open_dataset(tmp_path / "dataset")


def write_tracks(path: Path, *tracks: list[mido.Message], kind: int = 1, ticks: int = 480) -> None:
    midi = mido.MidiFile(type=kind, ticks_per_beat=ticks)
    midi.tracks.extend(mido.MidiTrack(track) for track in tracks)
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.save(path)


def scale(beats: int, *, channel: int = 0, note: int = 60, ticks: int = 480, wait: int = 0) -> list[mido.Message]:
    """Give quarter notes, the first after `wait` beats."""
    messages = []
    for beat in range(beats):
        start = wait * ticks if not beat else 0
        pitch = note + beat * 7 % 12
        messages.append(mido.Message("note_on", channel=channel, note=pitch, velocity=1 + beat % 127, time=start))
        messages.append(mido.Message("note_off", channel=channel, note=pitch, time=ticks))
    return messages


def sign(numerator: int, denominator: int, time: int = 0) -> mido.MetaMessage:
    return mido.MetaMessage("time_signature", numerator=numerator, denominator=denominator, time=time)


def test_notes_are_those_of_the_file(tmp_path: Path) -> None:
    path = write_song(tmp_path / "music" / "deep" / "a.MID", 0, velocity=33)
    dataset = built(tmp_path)
    (piece,) = pieces(dataset).values()
    assert (piece.name, piece.group, piece.style, piece.bars) == ("deep/a.MID", "a", "", 8)
    assert np.array_equal(piece.notes, quantize(read_song(path), longest=64)[0])
    assert set(piece.notes[:, Grid.VELOCITY]) == {33}
    assert piece.notes.dtype == np.int32
    assert dataset.styles == ()


@pytest.mark.parametrize("ticks", [24, 480, 1000])
@pytest.mark.parametrize("kind", [0, 1])
def test_any_type_and_resolution(tmp_path: Path, kind: int, ticks: int) -> None:
    write_tracks(tmp_path / "music" / "a.mid", scale(64, ticks=ticks), kind=kind, ticks=ticks)
    (piece,) = pieces(built(tmp_path)).values()
    assert piece.notes[:, Grid.ONSET].tolist() == list(range(0, 256, 4))
    assert set(piece.notes[:, Grid.DURATION]) == {4}
    assert piece.notes[:, Grid.VELOCITY].tolist() == list(range(1, 65))


def test_programs_and_names_become_instruments(tmp_path: Path) -> None:
    def named(name: str, channel: int, program: int | None) -> list[mido.Message]:
        change = [] if program is None else [mido.Message("program_change", channel=channel, program=program)]
        return [mido.MetaMessage("track_name", name=name), *change, *scale(16, channel=channel)]

    write_tracks(
        tmp_path / "music" / "a.mid",
        named("", 0, 19),  # church organ
        named("", 1, 52),  # choir
        named("", 2, 61),  # brass
        named("Acoustic Bass", 3, None),
        named("Bass", 9, None),
        named("Kit", 9, None),
        named("Telephone", 4, 124),
    )
    (piece,) = pieces(built(tmp_path)).values()
    counts = np.bincount(piece.notes[:, Grid.INSTRUMENT], minlength=6)
    assert counts[[Instrument.PIANO, Instrument.STRINGS, Instrument.DRUMS]].tolist() == [16, 16, 16]
    assert counts[Instrument.BASS] == 16  # both basses play the same
    assert counts.sum() == 64


def test_long_notes_last_up_to_four_bars(tmp_path: Path) -> None:
    held = [mido.Message("note_on", note=40, channel=1), mido.Message("note_off", note=40, channel=1, time=480 * 30)]
    write_tracks(tmp_path / "music" / "a.mid", scale(64), held)
    (piece,) = pieces(built(tmp_path)).values()
    assert piece.notes[:, Grid.DURATION].max() == 64


def test_at_most_19_notes_begin_at_once(tmp_path: Path) -> None:
    cluster = [mido.Message("note_on", note=20 + k, velocity=50) for k in range(40)]
    ends = [mido.Message("note_off", note=20 + k, time=480 * (not k)) for k in range(40)]
    write_tracks(tmp_path / "music" / "a.mid", [*cluster, *ends, *scale(64)])
    (piece,) = pieces(built(tmp_path)).values()
    assert (piece.notes[:, Grid.ONSET] == 0).sum() == 19


def test_each_stretch_in_four_four_is_a_piece(tmp_path: Path) -> None:
    metres = [sign(1, 4), sign(4, 4, 480), sign(3, 4, 64 * 480), sign(2, 2, 30 * 480)]
    write_tracks(tmp_path / "music" / "a.mid", metres, scale(1 + 64 + 30 + 68))
    dataset = built(tmp_path, held_out=0.0)
    first, second = dataset.training
    assert (first.name, second.name) == ("a.mid", "a.mid#2")
    assert first.group == second.group == "a"
    assert (first.bars, second.bars) == (17, 17)
    assert first.notes[:2, Grid.ONSET].tolist() == [12, 16]
    assert second.notes[0, Grid.ONSET] == 0
    assert table(tmp_path / "dataset" / "skipped.csv") == [
        {"path": "a.mid", "reason": "partly not in 4/4", "detail": "3/4"}
    ]


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    music = tmp_path / "music"
    good = write_song(music / "good.mid", 0)
    write_song(music / "waltz.MID", 1, metre=(3, 4))
    write_song(music / "short.midi", 2, bars=3)
    write_tracks(music / "few.mid", scale(63))
    write_tracks(music / "rain.mid", [mido.Message("program_change", program=122), *scale(64)])
    write_tracks(music / "silent.mid", [sign(4, 4)])
    (music / "empty.mid").write_bytes(b"")
    (music / "header.mid").write_bytes(b"MThd....")
    (music / "cut.mid").write_bytes(good.read_bytes()[:-100])
    (music / "array.npz").write_bytes(b"PK")
    (music / "notes.txt").write_text("not music")
    report = build_dataset([music], tmp_path / "dataset")
    assert list(pieces(open_dataset(tmp_path / "dataset"))) == ["good.mid"]
    assert report.files == 10
    assert report.skipped == {
        "for none of the instruments": 1,
        "not in 4/4": 1,
        "too short": 2,
        "unreadable or empty": 5,
    }
    skipped = {row["path"]: f"{row['reason']}: {row['detail']}" for row in table(tmp_path / "dataset" / "skipped.csv")}
    assert skipped == {
        "array.npz": "unreadable or empty: it is not a .npz file or is damaged",
        "cut.mid": "unreadable or empty: it is a damaged MIDI file: it is cut off",
        "empty.mid": "unreadable or empty: it is empty",
        "few.mid": "too short: 16 bars, 63 notes",
        "header.mid": "unreadable or empty: it is not a MIDI file",
        "rain.mid": "for none of the instruments: effects and percussion without pitch only",
        "short.midi": "too short: 3 bars, 72 notes",
        "silent.mid": "unreadable or empty: it holds no notes",
        "waltz.MID": "not in 4/4: 3/4",
    }


def test_song_files_of_the_original_are_read(tmp_path: Path) -> None:
    from cmt_bridge.composition.codec import bars_of, encode
    from cmt_bridge.outputs.npz import TokenSong, write_songs

    songs = []
    for seed in range(3):
        notes, length = quantize(read_song(write_song(tmp_path / f"{seed}.mid", seed)))
        songs.append(TokenSong(f"song {seed}", encode(notes, bars_of(length)), length))
    (tmp_path / "music").mkdir()
    write_songs(songs, tmp_path / "music" / "all.npz")
    write_songs(songs[:1], tmp_path / "music" / "one.NPZ")
    dataset = built(tmp_path)
    found = pieces(dataset)
    assert {name: piece.group for name, piece in found.items()} == {
        "all.npz": "song 0",
        "all.npz#2": "song 1",
        "all.npz#3": "song 2",
    }
    same = quantize(read_song(tmp_path / "1.mid"))[0]
    assert np.array_equal(found["all.npz#2"].notes, same)
    assert table(tmp_path / "dataset" / "skipped.csv")[0] == {
        "path": "one.NPZ",
        "reason": "a copy",
        "detail": "of all.npz",
    }


def test_a_manifest_names_songs_and_styles(tmp_path: Path) -> None:
    lines = ["path,song,style"]
    for number in range(40):
        write_song(tmp_path / "music" / "set" / f"{number}.mid", number)
        lines.append(f"set/{number}.mid,song{number % 10},{'rock' if number % 10 < 5 else ''}")
    (tmp_path / "music" / "manifest.csv").write_text("\n".join(lines))
    (tmp_path / "music" / "set" / "manifest.csv").write_text("another,table\n1,2\n")
    dataset = built(tmp_path, tmp_path / "music" / "set", held_out=0.5)
    kept, held = ({piece.group for piece in side} for side in (dataset.training, dataset.held_out))
    assert kept
    assert held
    assert not kept & held
    assert kept | held == {f"song{k}" for k in range(10)}
    assert dataset.styles == ("rock",)
    assert {piece.style for piece in dataset.training if piece.group in ("song7", "song8")} <= {""}
    rows = table(tmp_path / "dataset" / "split.csv")
    assert {row["piece"] for row in rows if row["side"] == "held out"} == {piece.name for piece in dataset.held_out}


def test_the_draw_depends_on_song_and_seed_only(tmp_path: Path) -> None:
    for number in range(30):
        write_song(tmp_path / "music" / f"{number}.mid", number)
    dataset = built(tmp_path, held_out=0.2)
    held = {piece.group for piece in dataset.held_out}
    assert held == {"15", "18", "20", "25", "7"}  # as ever since the first training
    build_dataset([tmp_path / "music"], tmp_path / "other", held_out=0.2, seed=1)
    assert {piece.group for piece in open_dataset(tmp_path / "other").held_out} != held
    (tmp_path / "music" / "3.mid").unlink()
    build_dataset([tmp_path / "music"], tmp_path / "fewer", held_out=0.2)
    assert {piece.group for piece in open_dataset(tmp_path / "fewer").held_out} == held
    build_dataset([tmp_path / "music"], tmp_path / "none", held_out=0.0)
    assert open_dataset(tmp_path / "none").held_out == ()


def test_the_same_music_is_on_one_side(tmp_path: Path) -> None:
    music = tmp_path / "music"
    for number in range(20):
        write_song(music / f"song {number}.mid", number, bars=16)
        write_song(music / f"copy {number}.mid", number, bars=16, velocity=100)
        write_song(music / f"higher {number}.mid", number, bars=16, transpose=5)
        write_song(music / f"version {number}.mid", number, bars=16, transpose=-2, changed=4)
    report = build_dataset([music], tmp_path / "dataset", held_out=0.3)
    dataset = open_dataset(tmp_path / "dataset")
    assert report.skipped == {"a copy": 20}
    assert report.merged_songs == 60
    assert report.largest_group == 4
    for side in (dataset.training, dataset.held_out):
        assert side
        groups = {piece.name.split()[1]: piece.group for piece in side}
        assert {piece.group for piece in side} == {f"copy {name.removesuffix('.mid')}" for name in groups}
        assert len(side) == 3 * len(groups)


def test_many_files_are_read_in_order_by_other_processes(tmp_path: Path) -> None:
    for number in range(FEW_FILES):
        write_song(tmp_path / "music" / f"{number:03}.mid", number, bars=4)
    (tmp_path / "music" / "100.mid").write_bytes(b"broken")
    shares: list[float] = []
    for name, workers in (("two", 2), ("one", 1)):
        report = build_dataset([tmp_path / "music"], tmp_path / name, workers=workers, progress=shares.append)
        assert report.skipped == {"unreadable or empty": 1}
    assert shares == [(k + 1) / FEW_FILES for k in range(FEW_FILES)] * 2
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    names = [f"{number:03}.mid" for number in range(FEW_FILES) if number != 100]
    assert sorted(pieces(open_dataset(tmp_path / "two"))) == names


def contents(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_bytes_say_nothing_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("here", "elsewhere"):
        write_song(tmp_path / place / "music" / "a" / "1.mid", 1)
        write_song(tmp_path / place / "music" / "b" / "1.mid", 2)
        (tmp_path / place / "music" / "b" / "bad.mid").write_bytes(b"no")
    (first, second), out = ([tmp_path / p / "music" for p in ("here", "elsewhere")], tmp_path)
    build_dataset([first / "a", first / "b"], out / "x")
    monkeypatch.chdir(second)
    build_dataset([Path("b"), Path("a"), Path("b")], out / "y")
    assert contents(out / "x") == contents(out / "y")
    assert not any(str(tmp_path).encode() in content for content in contents(out / "x").values())
    assert sorted(pieces(open_dataset(out / "x"))) == ["a/1.mid", "b/1.mid"]


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for seed, place in enumerate(("one", "two")):
        write_song(tmp_path / place / "music" / "1.mid", seed)
    dataset = built(tmp_path, tmp_path / "one" / "music", tmp_path / "two" / "music")
    assert sorted(pieces(dataset)) == ["music 2/1.mid", "music/1.mid"]


def test_what_cannot_be_built_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.mid").write_bytes(b"no")
    song = write_song(tmp_path / "music" / "a.mid", 0)
    for folder, message in (
        ("nowhere", "No such file"),
        ("music/a.mid", "Not a directory"),
        ("empty", "No music under"),
        ("broken", r"None of 1 files can be used \(1 unreadable or empty\)"),
    ):
        with pytest.raises(InputError, match=message):
            build_dataset([tmp_path / folder], tmp_path / "dataset")
    with pytest.raises(UsageError):
        build_dataset([tmp_path / "music"], tmp_path / "dataset", held_out=1.0)
    assert not (tmp_path / "dataset").exists()
    for output in (tmp_path / "music", song):
        with pytest.raises(OutputError, match="exists already"):
            build_dataset([tmp_path / "music"], output)
    (tmp_path / "music" / "manifest.csv").write_bytes(b"path,song\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="no table of songs"):
        build_dataset([tmp_path / "music"], tmp_path / "dataset")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "empty", "music"]
