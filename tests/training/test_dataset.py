from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.composition.codec import Grid
from cmt_bridge.errors import InputError
from cmt_bridge.training.corpus import build_dataset
from cmt_bridge.training.dataset import NotesFile, open_dataset, read_report
from tests.training.music import write_song


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for seed in range(6):
        write_song(tmp_path / "music" / f"{seed}.mid", seed)
    build_dataset([tmp_path / "music"], tmp_path / "dataset", held_out=0.3)
    return tmp_path / "dataset"


def test_notes_stay_on_disk_and_cannot_be_changed(dataset: Path) -> None:
    opened = open_dataset(dataset)
    pieces = opened.training + opened.held_out
    assert len(pieces) == 6
    for piece in pieces:
        assert isinstance(piece.notes.base, np.ndarray)
        assert isinstance(piece.notes.base.base, np.memmap)
        assert piece.notes.shape == (192, len(Grid))
        assert (np.diff(piece.notes[:, Grid.ONSET]) >= 0).all()
        with pytest.raises(ValueError, match="read-only"):
            piece.notes[0, 0] = 1


def test_the_report_counts_what_is_there(dataset: Path) -> None:
    opened, report = open_dataset(dataset), read_report(dataset)
    for counts, side in ((report.training, opened.training), (report.held_out, opened.held_out)):
        assert counts.pieces == counts.songs == len(side)
        assert counts.bars == sum(piece.bars for piece in side)
        assert counts.notes == sum(len(piece.notes) for piece in side)
        assert counts.instruments == dict.fromkeys(("Drums", "Piano", "Bass"), 64 * len(side)) | {
            "Guitar": 0,
            "Strings": 0,
        }
    assert report.styles == {"": 6}


def test_notes_are_written_as_they_come(tmp_path: Path) -> None:
    with NotesFile(tmp_path) as file:
        assert [file.add(np.full((count, 5), count)) for count in (3, 100_000, 1)] == [0, 3, 100_003]
    notes = np.load(tmp_path / "notes.npy", mmap_mode="r")
    assert notes.shape == (100_004, 5)
    assert notes.dtype == np.int32
    assert notes[:, 0].tolist() == [3] * 3 + [100_000] * 100_000 + [1]


def record(**changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "dataset.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def lines(name: str, edit: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(edit((folder / name).read_text()))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no record": (lambda folder: (folder / "dataset.json").unlink(), "is no dataset"),
    "another kind": (record(format="something"), "is no dataset"),
    "another version": (record(version=2), "of version 2, not 1"),
    "broken record": (lines("dataset.json", lambda text: text[:-5]), "damaged"),
    "a list": (lines("dataset.json", lambda _: "[]"), "is no dataset"),
    "no notes": (lambda folder: (folder / "notes.npy").unlink(), "damaged"),
    "cut notes": (lambda folder: (folder / "notes.npy").write_bytes((folder / "notes.npy").read_bytes()[:900]), "dam"),
    "other notes": (lambda folder: np.save(folder / "notes.npy", np.zeros((9999, 4), np.int32)), "damaged"),
    "fewer notes": (lambda folder: np.save(folder / "notes.npy", np.zeros((9, 5), np.int32)), "damaged"),
    "no pieces": (lambda folder: (folder / "pieces.json").unlink(), "damaged"),
    "other pieces": (lines("pieces.json", lambda text: text.replace("0.mid", "9.mid")), "damaged"),
    "a piece before the first": (lines("pieces.json", lambda text: text.replace('"first": 0', '"first": -5')), "dam"),
    "a shorter split": (lines("split.csv", lambda text: text[: text.index("5.mid")]), "damaged"),
    "a third side": (lines("split.csv", lambda text: text.replace("training", "middle")), "damaged"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_dataset_is_refused(dataset: Path, kind: str) -> None:
    damage, message = DAMAGE[kind]
    damage(dataset)
    with pytest.raises(InputError, match=message) as refusal:
        open_dataset(dataset)
    assert "cmt-bridge data build" in str(refusal.value)


def test_a_folder_or_a_report_of_another_kind_is_refused(dataset: Path, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / "music" / "0.mid"):
        with pytest.raises(InputError, match="is no dataset"):
            open_dataset(path)
    for counts in ({}, [], {"training": 1}, None):
        record(counts=counts)(dataset)
        with pytest.raises(InputError, match="damaged"):
            read_report(dataset)
