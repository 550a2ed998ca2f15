from pathlib import Path

import numpy as np
import pytest
import torch

from cmt_bridge.core.tokens import CLASSES, SAMPLED, Column, TokenRows
from cmt_bridge.model.checkpoint import read_original
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.model.paper_network import (
    ATTENTION_EPS,
    PaperConfig,
    PaperNetwork,
    causal_linear_attention,
    feature_map,
    initial_tokens,
)

TOLERANCE = 2e-5  # float32; the original's own error against float64 is 5e-6


def test_attention_is_the_sum_over_the_past() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 150, 8) for _ in range(3))
    q, k = feature_map(q), feature_map(k)
    got = causal_linear_attention(q, k, v)
    for t in (0, 1, 63, 64, 65, 149):
        weights = torch.einsum("bhd,bhsd->bhs", q[:, :, t], k[:, :, : t + 1])
        expected = torch.einsum("bhs,bhsd->bhd", weights, v[:, :, : t + 1])
        expected = expected / (weights.sum(-1, keepdim=True) + ATTENTION_EPS)
        torch.testing.assert_close(got[:, :, t], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_steps_give_the_parallel_form(network: PaperNetwork, words: TokenRows) -> None:
    rows, initial = torch.from_numpy(words), initial_tokens().repeat(2, 1, 1)
    parallel = network(rows, initial)
    state = network.state(2)
    steps = [network.step(x, state) for x in network.embed_initial(initial).unbind(1)]
    steps += [network.step(network.embed_words(row), state) for row in rows.unbind(1)]
    torch.testing.assert_close(torch.stack(steps, 1), parallel, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_engine_gives_the_network(network: PaperNetwork, paper_engine: PaperEngine, words: TokenRows) -> None:
    initial = initial_tokens()
    parallel = network(torch.from_numpy(words), initial.repeat(2, 1, 1))[:, 6:]
    state = paper_engine.state(2)
    hidden = [paper_engine.prime(initial[0].numpy(), state)]
    hidden += [paper_engine.step(words[:, t], state) for t in range(words.shape[1])]
    torch.testing.assert_close(torch.stack(hidden, 1), parallel, atol=TOLERANCE, rtol=0)
    types = np.array([1, 2])
    logits = network.logits(parallel[:, -1], torch.from_numpy(types))
    for column, got in paper_engine.logits(hidden[-1], types).items():
        torch.testing.assert_close(torch.from_numpy(got), logits[column], atol=TOLERANCE, rtol=0)
    expected = network.type_logits(parallel[:, -1])
    torch.testing.assert_close(torch.from_numpy(paper_engine.type_logits(hidden[-1])), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_fast_precisions_stay_near(
    network: PaperNetwork, paper_engine: PaperEngine, words: TokenRows, precision: str
) -> None:
    fast = PaperEngine(network, precision)  # type: ignore[arg-type]
    states = paper_engine.state(2), fast.state(2)
    for t in range(40):
        exact, near = (each.step(words[:, t], state) for each, state in zip((paper_engine, fast), states, strict=True))
    difference = (exact - near).abs().mean() / exact.abs().mean()
    assert 0 < difference < 0.1


def test_the_state_does_not_grow(paper_engine: PaperEngine, words: TokenRows) -> None:
    state = paper_engine.state(2)
    size = [part.numel() for part in state]
    for t in range(100):
        paper_engine.step(words[:, t], state)
    assert [part.numel() for part in state] == size


def test_positions_wrap(words: TokenRows, network: PaperNetwork) -> None:
    period = network.config.position_period
    rows = torch.from_numpy(words[:1, :1].copy())
    later = rows.clone()
    later[..., Column.POSITION] += period
    torch.testing.assert_close(network.embed_words(rows), network.embed_words(later))


def test_losses_count_masked_words_only(network: PaperNetwork, words: TokenRows) -> None:
    rows = torch.from_numpy(words)
    hidden = network(rows, initial_tokens().repeat(2, 1, 1))[:, 6:-1]
    mask = torch.zeros(rows.shape[:2])
    mask[0, :10] = 1
    short = network.losses(hidden[:1, :10], rows[:1, :10], torch.ones(1, 10))
    for column, loss in network.losses(hidden, rows, mask).items():
        torch.testing.assert_close(loss, short[column])
    assert len(short) == 7


def test_the_default_is_the_paper_s_size() -> None:
    network = PaperNetwork(PaperConfig())
    assert sum(parameter.numel() for parameter in network.parameters()) == 39_006_324
    assert [head.out_features for head in network.heads] == [CLASSES[column] for column in SAMPLED]  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> PaperNetwork:
    folder = Path(__file__).resolve().parents[3] / "shared" / "reference" / "network"
    if not folder.is_dir():
        pytest.skip(f"needs the reference material in {folder}")
    namespace: dict[str, object] = {"__file__": str(folder / "weights.py"), "__name__": "weights"}
    exec(compile((folder / "weights.py").read_text(), "weights.py", "exec"), namespace)
    path = tmp_path_factory.mktemp("weights") / "loss_8_params.pt"
    torch.save(namespace["state_dict"](), path)  # type: ignore[operator]
    return read_original(path)


@pytest.mark.shared
@pytest.mark.slow
def test_parity_with_the_original(original: PaperNetwork, shared: Path) -> None:
    vectors = np.load(shared / "reference" / "network" / "parity.npz")

    def integers(key: str) -> torch.Tensor:
        return torch.from_numpy(vectors[key].astype(np.int64))

    def near(got: torch.Tensor, key: str) -> None:
        torch.testing.assert_close(got.detach(), torch.from_numpy(vectors[key]), atol=TOLERANCE, rtol=0)

    tokens, targets, initial = integers("tokens"), integers("targets"), integers("init_tokens")
    hidden = original(tokens, initial)
    near(hidden, "hidden")
    near(original.type_logits(hidden[:, 7:]), "type_logits")
    for column, logits in original.logits(hidden[:, 7:], targets[..., Column.TYPE]).items():
        near(logits, f"{column.name.lower()}_logits")

    losses = original.losses(hidden[:, 7:], targets, torch.from_numpy(vectors["loss_mask"]))
    for name, expected in zip(vectors["loss_names"], vectors["losses"], strict=True):
        assert abs(losses[Column[str(name).upper()]].item() - expected) < TOLERANCE
    original.zero_grad()
    torch.stack(list(losses.values())).mean().backward()  # type: ignore[no-untyped-call]
    from cmt_bridge.model.checkpoint import renamed

    parameters = dict(original.named_parameters())
    assert len(parameters) == len(vectors["grad_keys"]) == 227
    for key, expected in zip(vectors["grad_keys"], vectors["grad_norms"], strict=True):
        gradient = parameters[str(renamed(str(key)))].grad
        assert gradient is not None
        assert abs(float(gradient.norm()) - expected) < TOLERANCE


@pytest.mark.shared
@pytest.mark.slow
@torch.no_grad()
def test_parity_of_the_recurrent_step(original: PaperNetwork, shared: Path) -> None:
    vectors = np.load(shared / "reference" / "network" / "parity.npz")
    long = vectors["long_tokens"].astype(np.int64)
    initial = vectors["init_tokens"][:1].astype(np.int64)
    network_state, engine = original.state(), PaperEngine(original)
    engine_state = engine.state()
    engine.prime(initial[0], engine_state)
    for x in original.embed_initial(torch.from_numpy(initial)).unbind(1):
        original.step(x, network_state)
    expected = torch.from_numpy(vectors["long_hidden_every_64"])
    for t in range(long.shape[1]):
        fused = engine.step(long[:, t], engine_state)
        if t <= 128:  # the plain form takes thrice as long
            stepped = original.step(original.embed_words(torch.from_numpy(long[:, t])), network_state)
        if t % 64 == 0:
            if t <= 128:
                torch.testing.assert_close(stepped, expected[:, t // 64], atol=TOLERANCE, rtol=0)
            torch.testing.assert_close(fused, expected[:, t // 64], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(fused, torch.from_numpy(vectors["long_last_hidden"]), atol=TOLERANCE, rtol=0)
    last = torch.from_numpy(engine.type_logits(fused))
    torch.testing.assert_close(last, torch.from_numpy(vectors["long_last_type_logits"]), atol=TOLERANCE, rtol=0)
