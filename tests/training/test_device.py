import pytest
import torch
from torch import nn

from cmt_bridge.errors import UsageError
from cmt_bridge.model.paper_network import Dropout
from cmt_bridge.training.device import (
    autocast,
    find_device,
    keep_memory,
    multiplied_weights,
    product_speed,
    random_states,
    restore_random_states,
    use_bf16,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(False, False, "cpu"), (False, True, "mps"), (True, False, "cuda:0")]
)
def test_the_best_device_is_found(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: int(cuda))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert str(find_device("auto")) == expected
    assert str(find_device("cpu")) == "cpu"
    if not mps:
        with pytest.raises(UsageError, match="no mps"):
            find_device("mps")
    if cuda:
        with pytest.raises(UsageError, match="1 processes at most"):
            find_device("cuda", 1)
    else:
        with pytest.raises(UsageError, match="no cuda"):
            find_device("cuda")


def test_bfloat16_is_for_gpus_that_can_unless_wished_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    for can in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda can=can, **_: can)
        assert use_bf16(gpu, None) is can
        assert use_bf16(gpu, not can) is not can
    assert not use_bf16(CPU, None)
    assert use_bf16(CPU, True)
    for wish, kind in ((True, torch.bfloat16), (False, torch.float32)):
        with autocast(CPU, wish):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is kind


def test_the_limit_is_per_device_and_never_negative() -> None:
    network = nn.Sequential(nn.Embedding(100, 64), nn.Linear(64, 256), nn.LayerNorm(256), nn.Linear(256, 64))
    assert multiplied_weights(network) == 2 * 64 * 256
    assert product_speed(network, 256, CPU, bf16=False) > 1e8


def test_dice_return() -> None:
    torch.manual_seed(3)
    state = random_states(CPU)
    first = torch.rand(5)
    restore_random_states(state, CPU)
    assert torch.equal(torch.rand(5), first)


def test_keeping_memory_does_no_harm() -> None:
    keep_memory()
    assert torch.ones(10**6).sum() == 10**6


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_dropout_drops_as_often_as_it_says(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    drop = Dropout(0.1)
    x = torch.full((1001, 333), 3.0, dtype=kind, requires_grad=True)
    y = drop(x)
    assert y.dtype is kind
    kept = y != 0
    assert float((~kept).float().mean()) == pytest.approx(0.1, abs=0.003)
    for part in (kept[:, 0::4], kept[:, 1::4], kept[:, 2::4], kept[:, 3::4]):
        assert float((~part).float().mean()) == pytest.approx(0.1, abs=0.006)
    assert y[kept].float().mean().item() == pytest.approx(3.0 / 0.9, rel=5e-3)
    y.float().sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert torch.equal(x.grad != 0, kept)
    assert not torch.equal(drop(x), y)
    assert torch.equal(drop.eval()(x), x)
