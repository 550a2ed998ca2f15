"""The loop: what it learns, leaves behind, and how it goes on after a stop or a kill."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cmt_bridge.errors import CheckpointError, CmtBridgeError, UsageError
from cmt_bridge.midi.song import read_song
from cmt_bridge.model.checkpoint import load_network
from cmt_bridge.model.paper_network import PaperNetwork
from cmt_bridge.training.dataset import Dataset
from cmt_bridge.training.loop import RESUME, Training, held_out_losses, train
from cmt_bridge.training.options import LOWEST_RATE, TrainingOptions
from cmt_bridge.training.process_group import ProcessGroup
from cmt_bridge.training.recipe import Recipe, recipe_for
from cmt_bridge.training.training_log import read_lines

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = TrainingOptions(
    network="paper", size="tiny", steps=12, batch=4, length=64, optimizer="adamw", learning_rate=1e-2, warmup=2,
    ema=0.9, every=6, device="cpu",
)  # fmt: skip
PATIENCE = 300  # s; for a busy machine


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def silent(_: str) -> None:
    """Say nothing."""


def timeless(folder: Path) -> list[dict[str, Any]]:
    """Give the log lines without what a clock said."""
    return [{key: line[key] for key in line if key != "seconds"} for line in read_lines(folder / "log.jsonl")]


def run_tiny(dataset: Dataset, place: Path, options: TrainingOptions, **given: Any) -> Path | None:
    given = {"tell": silent} | given
    return train(recipe_for(dataset, options), options, folder=place / "exp", logs=place / "logs", **given)


# A network that is no music at all: the loop must not care.


@dataclass(frozen=True)
class Points:
    x: Tensor
    words: int = 8

    def to(self, device: torch.device | str) -> Points:
        return replace(self, x=self.x.to(device))


class Drawer:
    """Draw points; those of the draws numbered in `broken` are no numbers."""

    def __init__(self, broken: range = range(0)) -> None:
        self.generator = np.random.Generator(np.random.PCG64(0))
        self.broken, self.count = broken, 0

    def draw(self) -> Points:
        points = torch.from_numpy(self.generator.normal(size=(8, 3))).float()
        self.count += 1
        return Points(points * math.nan if self.count in self.broken else points)


def point_losses(network: nn.Module, batch: Points) -> Mapping[str, Tensor]:
    off = network(batch.x) - batch.x.sum(1, keepdim=True)
    return {"near": off.square().mean(), "far": off.abs().mean()}


def save_points(network: nn.Module, path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps({"weights": network.weight.tolist(), **record}))  # type: ignore[operator, union-attr]


def point_recipe(broken: range = range(0)) -> Recipe:
    torch.manual_seed(0)
    return Recipe(nn.Linear(3, 1), Drawer(broken), [Points(torch.eye(3), 3)], point_losses, save_points)


POINTS = TrainingOptions(steps=40, every=10, warmup=0, optimizer="adamw", learning_rate=0.1, ema=0.0, device="cpu")


def test_training_learns_and_leaves_a_checkpoint(dataset: Dataset, tmp_path: Path) -> None:
    best = run_tiny(dataset, tmp_path, OPTIONS, record={"data": "songs"})
    assert best is not None
    lines = read_lines(tmp_path / "logs" / "log.jsonl")
    assert [line["step"] for line in lines] == [6, 12]
    assert lines[1]["held_out"] < lines[0]["held_out"]
    attributes = [value for key, value in lines[1].items() if key.startswith("held_out_")]
    assert len(attributes) == 7
    assert sum(attributes) == pytest.approx(lines[1]["held_out"])
    assert lines[1]["words"] > lines[0]["words"] > 0
    assert lines[0]["learning_rate"] == OPTIONS.rate(5)
    assert lines[0]["gradient_norm"] > 0
    assert best == tmp_path / "exp" / f"loss_{lines[1]['held_out']:.4f}.safetensors"
    assert sorted(path.name for path in best.parent.iterdir()) == sorted([best.name, RESUME])
    network = load_network(best)
    assert isinstance(network, PaperNetwork)
    assert (network.config.width, network.config.memory) == (32, 64)
    names = {path.name.partition(".tfevents")[0] for path in (tmp_path / "logs").iterdir()}
    assert names >= {"log.jsonl", "loss.png", "train.log", "events.out"}
    assert "held-out loss" in (tmp_path / "logs" / "train.log").read_text()


def test_the_checkpoint_has_the_loss_of_its_name(dataset: Dataset, tmp_path: Path) -> None:
    best = run_tiny(dataset, tmp_path, OPTIONS)
    assert best is not None
    recipe = recipe_for(dataset, OPTIONS, best)
    losses = held_out_losses(recipe.network, recipe.fixed, recipe.losses)
    assert sum(losses.values()) == pytest.approx(float(best.stem.removeprefix("loss_")), abs=2e-3)  # float16


def test_the_pace_is_told_beside_the_limit(dataset: Dataset, tmp_path: Path) -> None:
    said: list[str] = []
    run_tiny(dataset, tmp_path, OPTIONS, tell=said.append)
    assert any("GFLOP/s at most" in line for line in said)
    (line,) = (line for line in said if line.startswith("step 6: loss"))
    assert "words/s" in line
    assert "% of the limit" in line


def test_nothing_is_saved_without_a_folder(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(recipe_for(dataset, OPTIONS), OPTIONS, tell=silent) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changed", [{}, {"optimizer": "muon", "bf16": True}, {"network": "composer"}, {"ema": 0.0}])
def test_a_stopped_training_goes_on_as_if_it_had_not(dataset: Dataset, tmp_path: Path, changed: dict[str, Any]) -> None:
    options = replace(OPTIONS, steps=24, **changed)
    whole = run_tiny(dataset, tmp_path / "whole", options)
    recipe, before = recipe_for(dataset, options), signal.getsignal(signal.SIGINT)
    drawn = recipe.sampler.draw
    places = {"folder": tmp_path / "cut" / "exp", "logs": tmp_path / "cut" / "logs"}
    said: list[str] = []
    count = 0

    def draw() -> Any:
        nonlocal count
        count += 1
        if count == 9:
            signal.raise_signal(signal.SIGINT)
        return drawn()

    object.__setattr__(recipe.sampler, "draw", draw)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, options, tell=said.append, **places)
    assert said[-1] == "stopped after step 9; the same command goes on from there"
    assert signal.getsignal(signal.SIGINT) == before
    resumed = run_tiny(dataset, tmp_path / "cut", options, tell=said.append)
    assert "resuming at step 9" in said
    assert timeless(tmp_path / "cut" / "logs") == timeless(tmp_path / "whole" / "logs")
    assert len(timeless(tmp_path / "cut" / "logs")) == 5
    assert whole is not None
    assert resumed is not None
    ours, theirs = (load_network(path).state_dict() for path in (whole, resumed))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_second_interrupt_does_not_wait() -> None:
    recipe = point_recipe()

    def draw() -> Points:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    object.__setattr__(recipe.sampler, "draw", draw)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, POINTS, tell=silent)


def test_other_options_or_data_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    run_tiny(dataset, tmp_path, OPTIONS)
    with pytest.raises(UsageError, match=r"other options.*learning rate"):
        run_tiny(dataset, tmp_path, replace(OPTIONS, learning_rate=1e-3))
    fewer = replace(dataset, training=dataset.training[1:])
    with pytest.raises(UsageError, match=r"other options or data.*pieces"):
        run_tiny(fewer, tmp_path, OPTIONS)
    said: list[str] = []
    run_tiny(dataset, tmp_path, replace(OPTIONS, steps=13, samples=0, patience=3), tell=said.append)
    assert "resuming at step 12" in said


@pytest.mark.parametrize("content", [b"damaged", b""])
def test_a_damaged_state_is_refused(dataset: Dataset, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp" / RESUME).write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        run_tiny(dataset, tmp_path, OPTIONS)


@pytest.mark.parametrize("where", ["state", "checkpoint", "log line", "plot"])
def test_a_death_while_writing_leaves_a_whole_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def once(run: Path) -> Path | None:
        return train(point_recipe(), POINTS, folder=run / "exp", logs=run / "logs", tell=silent)

    class Death(BaseException):
        pass

    count = 0

    def die(write: Callable[..., Any], half: Callable[..., Any]) -> Callable[..., Any]:
        def written(*given: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == 3:
                half(*given)
                raise Death
            return write(*given, **named)

        return written

    whole = once(tmp_path / "whole")
    cut = tmp_path / "cut"
    with monkeypatch.context() as patch:
        if where == "state":
            patch.setattr(torch, "save", die(torch.save, lambda *given: Path(given[1]).write_bytes(b"half")))
        elif where == "checkpoint":
            patch.setattr(f"{__name__}.save_points", die(save_points, lambda *_: None))
        elif where == "plot":
            patch.setattr("cmt_bridge.training.training_log.draw_losses", die(lambda *_: None, lambda *_: None))
        else:
            journal = "cmt_bridge.training.training_log.TrainingLog.log"
            from cmt_bridge.training.training_log import TrainingLog

            def half_line(journal: TrainingLog, line: Mapping[str, Any]) -> None:
                assert journal.folder is not None
                with (journal.folder / "log.jsonl").open("a") as file:
                    file.write(json.dumps(dict(line))[:20])

            patch.setattr(journal, die(TrainingLog.log, half_line))
        with pytest.raises(Death):
            once(cut)
    resumed = once(cut)
    assert timeless(cut / "logs") == timeless(tmp_path / "whole" / "logs")
    assert whole is not None
    assert resumed is not None
    assert resumed.name == whole.name
    assert json.loads(resumed.read_text())["weights"] == json.loads(whole.read_text())["weights"]
    assert sorted(path.name for path in (cut / "exp").iterdir()) == sorted([resumed.name, RESUME])


def test_the_loop_trains_anything() -> None:
    recipe = point_recipe()
    training = Training(recipe, POINTS, ProcessGroup(torch.device("cpu")), tell=silent)
    before = sum(held_out_losses(recipe.network, recipe.fixed, point_losses).values())
    training.run()
    assert sum(held_out_losses(recipe.network, recipe.fixed, point_losses).values()) < before / 4


def test_steps_that_are_no_numbers_are_skipped(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    train(point_recipe(range(3, 12)), POINTS, folder=tmp_path / "exp", logs=logs, tell=silent)
    lines = read_lines(logs / "log.jsonl")
    assert [line["skipped"] for line in lines] == [8, 9, 9, 9]
    assert all(math.isfinite(line["held_out"]) for line in lines)
    assert lines[-1]["held_out"] < lines[0]["held_out"]
    with pytest.raises(CmtBridgeError, match="not a number in 10 steps"):
        train(point_recipe(range(3, 13)), POINTS, tell=silent)


def test_training_stops_early(tmp_path: Path) -> None:
    recipe = point_recipe()
    worse = iter(range(1, 100))
    recipe = replace(recipe, losses=lambda n, b: {k: v + (next(worse) if b.words == 3 else 0)
                     for k, v in point_losses(n, b).items()})  # fmt: skip
    said: list[str] = []
    options = replace(POINTS, steps=1000, patience=3)
    train(recipe, options, folder=tmp_path / "exp", logs=tmp_path / "logs", tell=said.append)
    lines = read_lines(tmp_path / "logs" / "log.jsonl")
    assert [line["step"] for line in lines if "held_out" in line] == [10, 20, 30, 40]
    assert said[-1] == "stopped early: no better held-out loss in 3 evaluations"
    best = tmp_path / "exp" / f"loss_{lines[0]['held_out']:.4f}.safetensors"
    assert json.loads(best.read_text())["step"] == 10
    train(recipe, options, folder=tmp_path / "exp", logs=tmp_path / "logs", tell=said.append)
    assert read_lines(tmp_path / "logs" / "log.jsonl") == lines


def test_averaged_weights_are_what_is_measured() -> None:
    recipe = point_recipe()
    training = Training(recipe, replace(POINTS, ema=0.5), ProcessGroup(torch.device("cpu")), tell=silent)
    expected = recipe.network.weight.detach().clone()  # type: ignore[operator, union-attr]
    for count in range(1, 20):
        training.step()
        decay = min(0.5, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * recipe.network.weight.detach()  # type: ignore[operator, union-attr]
    torch.testing.assert_close(training.measured.weight, expected)
    assert training.measured is not recipe.network


def test_gradients_are_clipped() -> None:
    moved = []
    for clip in (1e-9, 0.0):
        recipe = point_recipe()
        before = recipe.network.weight.detach().clone()  # type: ignore[operator, union-attr]
        Training(
            recipe, replace(POINTS, clip=clip, weight_decay=0.0), ProcessGroup(torch.device("cpu")), tell=silent
        ).step()
        moved.append(float((recipe.network.weight.detach() - before).abs().max()))  # type: ignore[operator, union-attr]
    assert moved[0] < moved[1]


def test_a_training_starts_from_a_checkpoint(dataset: Dataset, tmp_path: Path) -> None:
    best = run_tiny(dataset, tmp_path, OPTIONS)
    assert best is not None
    recipe = recipe_for(dataset, replace(OPTIONS, size="small", length=96), best)
    assert isinstance(recipe.network, PaperNetwork)
    assert recipe.network.config.width == 32
    assert recipe.network.config.memory == 96
    training = Training(recipe, OPTIONS, ProcessGroup(torch.device("cpu")), tell=silent)
    assert not any(state["state"] for state in training.optimizer.state())


@pytest.mark.parametrize("network", ["paper", "composer"])
def test_samples_are_music(dataset: Dataset, tmp_path: Path, network: str) -> None:
    run_tiny(dataset, tmp_path, replace(OPTIONS, network=network, samples=2))
    paths = sorted((tmp_path / "logs" / "samples").iterdir())
    assert [path.name for path in paths] == [f"step_{step:05}_{k}.mid" for step in (6, 12) for k in (1, 2)]
    assert len({path.read_bytes() for path in paths}) == 4
    for path in paths:
        assert sum(len(track.notes) for track in read_song(path).tracks) > 0


def test_samples_do_not_change_the_curve(dataset: Dataset, tmp_path: Path) -> None:
    for count in (0, 1):
        run_tiny(dataset, tmp_path / str(count), replace(OPTIONS, samples=count))
    assert timeless(tmp_path / "0" / "logs") == timeless(tmp_path / "1" / "logs")


# The program


def program(*arguments: object, folder: Path, processes: int = 1) -> subprocess.Popen[str]:
    """Start `cmt-bridge train`, on its own or in several processes."""
    start = ["-m", "cmt_bridge"]
    if processes > 1:
        start = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", *start]
    return subprocess.Popen(
        [sys.executable, *start, "train", *map(str, arguments)],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": ""},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(lines: int, path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a log has so many lines."""
    deadline = time.monotonic() + PATIENCE
    while len(read_lines(path)) < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def arguments_for(dataset: Dataset, name: str, steps: int) -> tuple[object, ...]:
    """Give the options of a run that measures every four steps."""
    tiny = ("--network", "paper", "--size", "tiny", "--batch-size", 2, "--length", 48, "--device", "cpu")
    often = ("--steps", steps, "--every", 4, "--warmup", 4, "--lr", "0.01", "--samples", 1)
    return ("--data", dataset.folder, "-n", name, *tiny, *often)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_training_goes_on_as_if_it_had_not(dataset: Dataset, tmp_path: Path, processes: int) -> None:
    steps = 40
    whole = program(*arguments_for(dataset, "whole", steps), folder=tmp_path, processes=processes)
    out, err = whole.communicate(timeout=PATIENCE)
    assert whole.returncode == 0, err
    for lines in (1, 6):
        cut = program(*arguments_for(dataset, "cut", steps), folder=tmp_path, processes=processes)
        wait_for(lines, tmp_path / "logs" / "cut" / "log.jsonl", cut)
        os.killpg(cut.pid, signal.SIGKILL)
        cut.communicate(timeout=PATIENCE)
    last = program(*arguments_for(dataset, "cut", steps), folder=tmp_path, processes=processes)
    out, err = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, err
    assert err.count("resuming at step") == 1
    assert timeless(tmp_path / "logs" / "cut") == timeless(tmp_path / "logs" / "whole")
    (ours,) = (tmp_path / "exp" / "cut").glob("loss_*.safetensors")
    (theirs,) = (tmp_path / "exp" / "whole").glob("loss_*.safetensors")
    assert tmp_path / out.strip() == ours
    mine, other = load_network(ours).state_dict(), load_network(theirs).state_dict()
    assert all(torch.equal(mine[key], other[key]) for key in mine)


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(dataset: Dataset, tmp_path: Path) -> None:
    process = program(*arguments_for(dataset, "mine", 10**6), folder=tmp_path)
    wait_for(2, tmp_path / "logs" / "mine" / "log.jsonl", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert out == ""
    assert "the same command goes on from there" in err
    state = torch.load(tmp_path / "exp" / "mine" / RESUME, weights_only=True)
    assert f"stopped after step {state['progress']['step']};" in err


def test_the_command_line_trains_and_imports(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CMT_BRIDGE_MODELS", str(tmp_path / "mine"))
    small = ("--size", "tiny", "--steps", 4, "--every", 2, "-b", 2, "--length", 32, "--device", "cpu")
    code, out, _ = run("train", "--data", dataset.folder, "-n", "first", *small)
    assert code == 0
    checkpoint = Path(out.strip().splitlines()[-1])
    assert checkpoint.parent == Path("exp/first")
    assert Path("logs/first/loss.png").is_file()
    code, out, _ = run("models", "import", checkpoint, "--name", "first", "--licence", "CC0-1.0", "--json")
    assert code == 0
    code, out, _ = run("models", "list", "--json")
    entry = next(model for model in json.loads(out) if model["name"] == "first")
    assert entry["record"]["step"] == 4
    assert entry["record"]["data"] == dataset.folder.name
    assert entry["record"]["options"]["bf16"] is False
    code, out, _ = run("train", "--data", dataset.folder, "-n", "second", "-p", checkpoint, *small, "--json")
    assert code == 0
    assert json.loads(out)["logs"] == str(Path("logs/second"))


def test_debug_saves_nothing(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("train", "--data", dataset.folder, "-n", "debug", "--size", "tiny", "--steps", 2,
                         "-b", 2, "--length", 32, "--device", "cpu", "--samples", 1)  # fmt: skip
    assert code == 0
    assert "held-out loss" in err
    assert out == ""
    assert not list(tmp_path.iterdir())


def test_music_that_is_no_dataset_is_refused(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (dataset.folder.parent, tmp_path / "nowhere"):
        code, _, err = run("train", "--data", folder, "-n", "x")
        assert code == 3
        assert "cmt-bridge data build" in err
    assert run("train", "--data", dataset.folder, "-n", "../x")[0] == 2
    assert run("train", "--data", dataset.folder, "-n", "x", "-p", "none.safetensors")[0] == 3
    assert run("train", "--data", dataset.folder, "-n", "x", "--lr", "0")[0] == 2
    assert not Path("exp").exists()


def test_options_are_checked_and_the_rate_rises_and_falls() -> None:
    options = TrainingOptions(steps=100, warmup=10, learning_rate=1.0)
    rates = [options.rate(step) for step in range(101)]
    assert rates[:10] == pytest.approx([(n + 1) / 10 for n in range(10)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == 1.0
    assert rates[-1] == pytest.approx(LOWEST_RATE)
    for wrong in (
        {"steps": 0}, {"learning_rate": 0.0}, {"learning_rate": math.nan}, {"ema": 1.0}, {"patience": -1},
        {"clip": -1.0}, {"optimizer": "sgd"}, {"device": "tpu"},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            TrainingOptions(**wrong)  # type: ignore[arg-type]
    assert json.loads(json.dumps(asdict(options)))["ema"] == 0.999


def test_published_checkpoints_are_read(dataset: Dataset, tmp_path: Path) -> None:
    from tests.model.test_checkpoint import SMALL, original_of

    torch.manual_seed(0)
    torch.save(original_of(PaperNetwork(SMALL), "module."), tmp_path / "loss_8_params.pt")
    recipe = recipe_for(dataset, OPTIONS, tmp_path / "loss_8_params.pt")
    assert isinstance(recipe.network, PaperNetwork)
    assert recipe.network.config == SMALL
