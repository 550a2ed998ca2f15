"""What a candidate says is its own, whoever is composed beside it and whatever processor sums it up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.events import Field
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import TokenRows
from cmt_bridge.model.decoding import Decoding, compose, engine_for
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.event_network import EventTransformer
from cmt_bridge.model.paper_engine import PaperEngine
from cmt_bridge.model.paper_network import PaperConfig, PaperNetwork
from cmt_bridge.model.rows import ROWS, in_blocks, padded, rows_of

SUMS = ("mm", "addmm", "bmm", "linear", "_linear_pointwise", "mean", "sum", "native_layer_norm", "_softmax")
"""Operations whose last bits may hang on the shape of what they are given, and on the place of a row in it."""


class OtherProcessor(TorchDispatchMode):
    """A processor that sums up in another order for every shape, and on every row.

    Each number of a result is moved by up to two of its last bits, as a hash of the shapes and of its place says.
    What depends on how many rows there are, or on which of them a candidate has, comes out otherwise.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.moved = 0
        self._noise: dict[tuple[object, ...], Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func._schema.name.split("::")[-1] not in SUMS:
            return found
        first, *others = found if isinstance(found, tuple) else (found,)
        if not first.is_floating_point():
            return found
        shapes = tuple(tuple(each.shape) for each in args if isinstance(each, Tensor))
        if shapes not in self._noise:
            rng = np.random.default_rng([self.seed, *(size for shape in shapes for size in shape)])
            steps = torch.from_numpy(rng.integers(-2, 3, tuple(first.shape)).astype(np.float32))
            self._noise[shapes] = 1 + steps * torch.finfo(torch.float32).eps
        self.moved += 1
        moved = first * self._noise[shapes]
        return (moved, *others) if isinstance(found, tuple) else moved


@contextmanager
def other_processor(seed: int) -> Iterator[None]:
    with OtherProcessor(seed) as mode:
        yield
    assert mode.moved


def test_candidates_have_the_rows_of_their_seeds() -> None:
    assert rows_of([100, 101, 107]) == [4, 5, 3]
    assert rows_of([3, 11, 4, 19]) == [3, ROWS + 3, 4, 2 * ROWS + 3]
    assert sorted(rows_of(range(50, 50 + 3 * ROWS))) == list(range(3 * ROWS))


def test_products_have_as_many_rows_whoever_is_there() -> None:
    seen: list[tuple[int, ...]] = []

    def product(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return x * 2

    for rows in ([4], [0, 4], [4, ROWS + 1], list(range(ROWS))):
        where = torch.tensor(rows)
        x = torch.arange(len(rows), dtype=torch.float32)[:, None] + 1
        torch.testing.assert_close(in_blocks(product, padded(x, where))[where], x * 2)
    assert set(seen) == {(ROWS, 1)}


def remembering(network: PaperNetwork) -> PaperNetwork:
    """Give the paper's network with two states a candidate, one of which takes over now and then."""
    config: PaperConfig = replace(network.config, memory=64)
    short = PaperNetwork(config).eval()
    short.load_state_dict(network.state_dict())
    return short


@pytest.fixture(params=["paper", "paper with a short memory", "composer"])
def any_engine(
    request: pytest.FixtureRequest, network: PaperNetwork, composer: EventTransformer
) -> PaperEngine | EventEngine:
    return engine_for(
        {"paper": network, "composer": composer}.get(request.param) or remembering(network)  # type: ignore[call-overload]
    )


def words(engine: PaperEngine | EventEngine, control: ControlTrack, seeds: list[int]) -> dict[int, TokenRows]:
    options = ComposeOptions(seed=seeds[0], density_control=(0.5,), beat_control=(0.5,))
    return dict(zip(seeds, compose(Decoding(engine, control, options, seeds=seeds)), strict=True))


def test_a_piece_does_not_hang_on_those_beside_it(any_engine: PaperEngine | EventEngine) -> None:
    """Where sums come out otherwise for every shape and row; two of three candidates want the same one."""
    control = ControlTrack(TempoMap.constant(120), (5, 9, 3), (ControlBeat(20, 9),), 48)
    with other_processor(1):
        together = words(any_engine, control, [6, 7, 15])
        for seed in (7, 15):
            np.testing.assert_array_equal(words(any_engine, control, [seed])[seed], together[seed])


def test_an_other_processor_is_another_one(composer: EventTransformer) -> None:
    """The noise of these tests reaches the logits, or they would prove nothing."""
    engine = EventEngine(composer)
    found = []
    for seed in (1, 2):
        cache = engine.cache([0])
        with other_processor(seed):
            for position in range(20):
                event = np.zeros((1, len(Field)), np.int64)
                event[:, Field.PITCH] = 40 + position
                engine.step(event, cache)
        found.append(cache.hidden)
    assert not torch.equal(*found)
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-3)


KERNELS = {
    "plain": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "two threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"},
}
"""Other kernels that this processor has too; a name that it does not know changes nothing."""

ALONE_AND_TOGETHER = """
import sys
import numpy as np, torch
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.events import Field
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.model.event_network import EventTransformer, EventConfig
from cmt_bridge.model.paper_network import PaperNetwork
from cmt_bridge.model.decoding import Decoding, compose, engine_for
from cmt_bridge.training.recipe import SIZES

control = ControlTrack(TempoMap.constant(120), (4, 7), (ControlBeat(20, 3),), 32)
options = ComposeOptions(density_control=(0.5,), beat_control=(0.5,))
torch.manual_seed(5)
# Of sizes that kernels have a rest of: no whole vectors, no whole tiles.
config = EventConfig(layers=2, heads=3, head_size=24, width=88, feed_forward=200, speech_width=40, window=90)
for network in (EventTransformer(config).eval(), PaperNetwork(SIZES["tiny"]).eval()):
    for precision in sys.argv[1:]:
        engine = engine_for(network, precision)
        together = compose(Decoding(engine, control, options, seeds=[6, 7, 13]))
        (alone,) = compose(Decoding(engine, control, options, seeds=[13]))
        assert np.array_equal(alone, together[2]), (type(network).__name__, precision)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kernels", KERNELS)
def test_other_kernels_compose_a_piece_alone_as_with_others(kernels: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **KERNELS[kernels]}
    done = subprocess.run(
        [sys.executable, "-c", ALONE_AND_TOGETHER, "float32", "bfloat16", "int8"],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_a_row_of_a_fast_product_hangs_on_itself_alone(precision: str) -> None:
    from cmt_bridge.model.paper_engine import linear

    torch.manual_seed(0)
    product = linear(torch.randn(40, 24), torch.randn(40), precision)  # type: ignore[arg-type]
    x = torch.randn(ROWS, 24)
    loud = x.clone()
    loud[1:] *= 1000
    torch.testing.assert_close(product(loud)[0], product(x)[0], atol=0, rtol=0)
