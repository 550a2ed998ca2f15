import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cmt_bridge.training.batches import Batch
from cmt_bridge.training.dataset import Dataset
from cmt_bridge.training.process_group import ProcessGroup, join
from cmt_bridge.training.recipe import recipe_for
from tests.training.ranks import OPTIONS

ROOT = Path(__file__).resolve().parents[2]


def test_alone_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = join("cpu")
    network = torch.nn.Linear(2, 2)
    assert world == ProcessGroup(torch.device("cpu"))
    assert world.first
    assert world.share(network) is network
    assert world.sum(1.5, 2.0) == [1.5, 2.0]
    assert world.gather("x") == ["x"]
    world.leave()


@pytest.mark.slow
def test_two_processes_learn_what_one_does_from_both_batches(dataset: Dataset, tmp_path: Path) -> None:
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "tests.training.ranks"]
    done = subprocess.run(
        [sys.executable, *start, str(dataset.folder), str(tmp_path)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": ""},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert not torch.equal(first["rows"], second["rows"])
    joined = Batch(*(torch.cat([first[part], second[part]]) for part in ("rows", "initial", "mask")))
    assert first["mask"].sum() != second["mask"].sum()  # so that a mean of means would be wrong
    assert first["words"] == second["words"] == joined.words
    recipe = recipe_for(dataset, OPTIONS)
    loss = torch.stack(list(recipe.losses(recipe.network.eval(), joined).values())).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    assert first["loss"] / first["words"] == pytest.approx(loss.item(), rel=1e-5)
    for name, weight in recipe.network.named_parameters():
        assert weight.grad is not None
        torch.testing.assert_close(first["gradients"][name], second["gradients"][name], atol=0, rtol=0)
        torch.testing.assert_close(first["gradients"][name], weight.grad, atol=2e-5, rtol=1e-3)
