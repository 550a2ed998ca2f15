from __future__ import annotations

import numpy as np
import pytest
import torch

from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.tokens import CLASSES, COLUMNS, TokenRows
from cmt_bridge.model.composer import Composer, ComposerConfig
from cmt_bridge.model.composer_voice import ComposerEngine
from cmt_bridge.model.engine import Engine
from cmt_bridge.model.network import Network
from cmt_bridge.model.session import engine_for
from cmt_bridge.training.recipe import SIZES


@pytest.fixture(scope="session")
def network() -> Network:
    """Give a tiny seeded network whose attention and norms are not those of a fresh one."""
    torch.manual_seed(1)
    network = Network(SIZES["tiny"]).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter += 0.2 * torch.randn_like(parameter)
    return network


@pytest.fixture(scope="session")
def composer() -> Composer:
    """Give a tiny seeded composer that knows two styles."""
    torch.manual_seed(2)
    config = ComposerConfig(
        layers=2,
        heads=2,
        head_size=16,
        width=32,
        feed_forward=64,
        speech_width=16,
        window=96,
        styles=("calm", "wild"),
    )
    return Composer(config).eval()


@pytest.fixture(scope="session")
def paper_engine(network: Network) -> Engine:
    return Engine(network)


@pytest.fixture(scope="session", params=["paper", "composer"])
def engine(request: pytest.FixtureRequest, network: Network, composer: Composer) -> Engine | ComposerEngine:
    """Give an engine of either network."""
    return engine_for(composer if request.param == "composer" else network)


@pytest.fixture
def control() -> ControlTrack:
    beats = (ControlBeat(3, 2), ControlBeat(20, 9), ControlBeat(22, 1), ControlBeat(31, 4), ControlBeat(50, 3))
    return ControlTrack(TempoMap.constant(120), (4, 16, 0, 7, 1, 9), beats, 90)


@pytest.fixture
def words() -> TokenRows:
    """Give 150 words of random classes for two songs, shape (2, 150, 10)."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, n, (2, 150)) for n in CLASSES], axis=-1)
    assert rows.shape == (2, 150, COLUMNS)
    return rows
