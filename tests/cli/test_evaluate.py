from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cmt_bridge.model.checkpoint import save_network
from cmt_bridge.model.event_network import EventConfig, EventTransformer
from cmt_bridge.model.paper_network import PaperConfig, PaperNetwork
from tests.training.music import write_song

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a dataset, two tiny models, a picture of twelve bars, and a folder of MIDI files."""
    from cmt_bridge.training.corpus import build_dataset

    place = tmp_path_factory.mktemp("evaluation")
    for seed in range(8):
        write_song(place / "music" / f"song{seed}.mid", seed, bars=20)
    build_dataset([place / "music"], place / "dataset", held_out=0.4, workers=1)
    torch.manual_seed(0)
    config = EventConfig(layers=1, heads=1, head_size=8, width=16, feed_forward=16, speech_width=8, window=128)
    save_network(EventTransformer(config), place / "ours.safetensors", record={})
    paper = PaperConfig(layers=1, heads=1, width=16, feed_forward=16, embeddings=(4,) * 7, timing_embedding=4)
    save_network(PaperNetwork(paper), place / "theirs.safetensors", record={})
    picture = {
        "duration": 23.5, "tempo": 120.0, "vbeats": [{"start_time": 2.0, "bar": 1, "tick": 0, "weight": 0.9}],
        "flow_magnitude_per_bar": [0.1, 0.5, 1.0] * 4,
    }  # fmt: skip
    (place / "picture.json").write_text(json.dumps(picture))
    short = {**picture, "duration": 4.0, "vbeats": []}
    (place / "short.json").write_text(json.dumps(short))
    return place


def test_evaluate_measures_models_and_music(place: Path, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "figures.json"
    code, table, said = run(
        "evaluate", place / "ours.safetensors", "--data", place / "dataset", "--baseline", place / "theirs.safetensors",
        "--picture", place / "picture.json", "--picture", place / "short.json", "--row", f"theirs={place / 'music'}",
        "--takes", 1, "--windows", 4, "--middles", 1, "-o", out,
    )  # fmt: skip
    assert code == 0, said
    report = json.loads(out.read_text())
    ours, theirs = report["held_out"]["model"], report["held_out"]["baseline"]
    assert ours["notes"] > 0
    assert "velocity" in ours
    assert "velocity" not in theirs
    assert set(report["control"]["model"]) == {"0", "0.3", "0.7", "1"}
    full = report["control"]["model"]["1"]
    assert (full["density"], full["strength"], full["time"]) == (0, 0, 0)
    assert report["control"]["model"]["0"]["density"] > 0
    assert len(report["sanity"]) == 17
    assert report["memory"]["real"]["pieces"] > 0
    assert report["infilling"]["seam"] > 0
    for row in ("real", "model, C = 0", "model, C = 1", "baseline, C = 1", "theirs"):
        assert 0 <= report["music"][row]["grooving"] <= 1
        assert row.partition(",")[2] in table
    assert "paper: real (LPD)" in table
    assert "short.json is too short" in said
    assert "nan" not in table


def test_without_pictures_the_losses_are_measured(
    place: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("evaluate", place / "theirs.safetensors", "--data", place / "dataset", "--windows", 2, "--json")
    for name in ("theirs.evaluation.json", "theirs.evaluation (2).json"):  # nothing is overwritten
        code, out, _ = run(*command)
        assert code == 0
        assert json.loads(out) == json.loads((tmp_path / name).read_text())
        assert "music" not in json.loads(out)


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        (("--data", "nowhere"), 3, "is no dataset"),
        (("--row", "folder"), 2, "NAME=FOLDER"),
        (("--row", "a=nowhere"), 3, "No MIDI file"),
        (("--picture", "nowhere.mp4"), 3, "nowhere.mp4"),
        (("--baseline", "nobody"), 2, "nobody"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    place: Path, run: Run, wrong: tuple[str, str], code: int, message: str
) -> None:
    command = [
        "evaluate",
        place / "ours.safetensors",
        "--data",
        place / "dataset",
        "--windows",
        1,
        "--middles",
        1,
        *wrong,
    ]
    found, _, said = run(*command)
    assert found == code
    assert message in said
