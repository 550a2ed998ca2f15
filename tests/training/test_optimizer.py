from dataclasses import replace

import pytest
import torch
from torch import nn

from cmt_bridge.errors import UsageError
from cmt_bridge.model.paper_network import PaperNetwork
from cmt_bridge.training.optimizer import Optimizer, make_optimizer
from cmt_bridge.training.options import TrainingOptions
from cmt_bridge.training.recipe import SIZES

MUON = TrainingOptions(optimizer="muon", learning_rate=0.01)


def tiny() -> PaperNetwork:
    torch.manual_seed(0)
    return PaperNetwork(SIZES["tiny"])


def with_gradients(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for weight in network.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)
    return network


def learned_by(part: torch.optim.Optimizer, network: nn.Module) -> set[str]:
    ids = {id(weight) for group in part.param_groups for weight in group["params"]}
    return {name for name, weight in network.named_parameters() if id(weight) in ids}


def test_muon_learns_the_matrices_of_the_layers_only() -> None:
    network = tiny()
    muon, adamw = (learned_by(part, network) for part in make_optimizer(network, MUON).parts)
    assert {"layers.0.query.weight", "layers.1.contract.weight"} <= muon
    assert all(name.startswith("layers.") and name.endswith(".weight") and "norm" not in name for name in muon)
    assert {"embed.3.weight", "heads.0.weight", "layers.0.query.bias", "layers.0.norm1.weight"} <= adamw
    assert muon | adamw == {name for name, _ in network.named_parameters()}
    assert not muon & adamw


def test_muon_moves_all_directions_of_a_matrix_alike() -> None:
    network = with_gradients(tiny())
    before = network.layers[0].query.weight.detach().clone()  # type: ignore[index, union-attr]
    make_optimizer(network, replace(MUON, weight_decay=0.0)).step(0.01)
    moved = network.layers[0].query.weight.detach() - before  # type: ignore[index, union-attr]
    sizes = torch.linalg.svdvals(moved)
    assert sizes.max() < 2.5 * sizes.min()
    gradient = torch.linalg.svdvals(torch.randn(32, 32, generator=torch.Generator().manual_seed(1)))
    assert gradient.max() > 20 * gradient.min()


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_the_state_returns(name: str) -> None:
    options = replace(MUON, optimizer=name)

    def three_steps(interrupted: bool) -> list[torch.Tensor]:
        network = tiny()
        optimizer: Optimizer = make_optimizer(network, options)
        for count in range(3):
            if interrupted and count == 2:
                state = optimizer.state()
                optimizer = make_optimizer(network, options)
                optimizer.resume(state)
            with_gradients(network)
            optimizer.step(0.01)
            assert all(weight.grad is None for weight in network.parameters())
        return [weight.detach() for weight in network.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(three_steps(False), three_steps(True), strict=True))


def test_muon_wants_a_torch_that_has_it_and_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no matrices in layers"):
        make_optimizer(nn.Linear(2, 2), MUON)
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(UsageError, match=r"torch 2\.9"):
        make_optimizer(tiny(), MUON)
