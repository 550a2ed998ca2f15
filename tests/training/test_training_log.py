import importlib.util
import json
from pathlib import Path

import matplotlib.image
import pytest

from cmt_bridge.training.training_log import TrainingLog, draw_losses, read_lines


def line(step: int, loss: float, **more: float) -> dict[str, float]:
    return {"step": step, "words": 1000 * step, "loss": loss, **more}


def silent(_: str) -> None:
    """Say nothing."""


def test_what_was_said_and_noted_is_there(tmp_path: Path) -> None:
    said: list[str] = []
    journal = TrainingLog(tmp_path, said.append)
    journal.message("hello")
    journal.log(line(1, 2.0))
    journal.log(line(2, 1.5, held_out=1.6))
    journal.close()
    assert said == ["hello"]
    assert (tmp_path / "train.log").read_text() == "hello\n"
    assert read_lines(tmp_path / "log.jsonl") == [line(1, 2.0), line(2, 1.5, held_out=1.6)]


def test_a_journal_goes_on_from_a_step(tmp_path: Path) -> None:
    journal = TrainingLog(tmp_path, silent)
    for step in (1, 2, 3):
        journal.log(line(step, 9.0))
    journal.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    journal = TrainingLog(tmp_path, silent, step=2)
    journal.log(line(3, 1.0))
    journal.close()
    assert [entry["loss"] for entry in read_lines(tmp_path / "log.jsonl")] == [9.0, 9.0, 1.0]


def test_tensorboard_reads_the_events_and_forgets_what_was_undone(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    journal = TrainingLog(tmp_path, silent)
    for step in (1, 2, 3):
        journal.log(line(step, 9.0))
    journal.close()
    journal = TrainingLog(tmp_path, silent, step=2)
    journal.log(line(3, 1.0, held_out=1.25, held_out_pitch=0.75))
    journal.close()
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 9.0), (2, 9.0), (3, 1.0)]
    assert [(event.step, event.value) for event in events.Scalars("held_out/pitch")] == [(3, 0.75)]
    assert [event.value for event in events.Scalars("held_out")] == [1.25]


def test_without_tensorboard_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "cmt_bridge.training.training_log.find_spec", lambda name: None if name == "tensorboard" else found(name)
    )
    said: list[str] = []
    journal = TrainingLog(tmp_path, said.append)
    journal.log(line(1, 2.0))
    journal.close()
    assert len(said) == 1
    assert "pip install 'cmt-bridge[train]'" in said[0]
    assert not list(tmp_path.glob("*tfevents*"))


def test_a_journal_without_a_folder_only_talks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    journal = TrainingLog(None, said.append)
    journal.message("hello")
    journal.log(line(1, 2.0))
    journal.draw()
    journal.close()
    assert said == ["hello"]
    assert not list(tmp_path.iterdir())


def test_the_plot_shows_both_losses(tmp_path: Path) -> None:
    lines = [line(step, 20 / step, **({"held_out": 25 / step} if step % 5 == 0 else {})) for step in range(1, 30)]
    draw_losses(lines, tmp_path / "loss.png")
    picture = matplotlib.image.imread(tmp_path / "loss.png")[..., :3]
    for colour in ("#7fb2d9", "#0b5394"):
        wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(picture - wanted).max(axis=-1) < 0.02).sum() > 50, colour
    draw_losses(lines, tmp_path / "loss.svg")
    text = (tmp_path / "loss.svg").read_text()
    assert text.startswith("<?xml")
    draw_losses([], tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000


def test_lines_are_json(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none") == []
    (tmp_path / "log.jsonl").write_text(json.dumps(line(1, 2.0)) + "\n[]\n" + json.dumps(line(2, 2.0)) + "\n")
    assert read_lines(tmp_path / "log.jsonl") == [line(1, 2.0)]
