from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cmt_bridge.model.event_decoder import EventEngine
    from cmt_bridge.model.event_network import EventTransformer
    from cmt_bridge.model.paper_engine import PaperEngine
    from cmt_bridge.model.paper_network import PaperNetwork

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # in a script's background, where children would be deaf to Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """Give the folder of the reference material, which a fresh clone does not have."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the reference material in {SHARED}")
    return SHARED


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line; give its exit code, stdout and stderr."""

    def run_(*arguments: object) -> tuple[int, str, str]:
        from cmt_bridge.cli import main

        monkeypatch.setattr("sys.argv", ["cmt-bridge", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return run_


@pytest.fixture(scope="session")
def network() -> PaperNetwork:
    """Give a tiny seeded network whose attention and norms are not those of a fresh one."""
    import torch

    from cmt_bridge.model.paper_network import PaperNetwork
    from cmt_bridge.training.recipe import SIZES

    torch.manual_seed(1)
    network = PaperNetwork(SIZES["tiny"]).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter += 0.2 * torch.randn_like(parameter)
    return network


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the weights of a tiny network that has learned nothing: enough for all but the taste."""
    import torch

    from cmt_bridge.model.checkpoint import save_network
    from cmt_bridge.model.paper_network import PaperNetwork
    from cmt_bridge.training.recipe import SIZES

    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_network(PaperNetwork(SIZES["tiny"]).eval(), path, record={})
    return path


@pytest.fixture(scope="session")
def composer() -> EventTransformer:
    """Give a tiny seeded composer that knows two styles."""
    import torch

    from cmt_bridge.model.event_network import EventConfig, EventTransformer

    torch.manual_seed(2)
    config = EventConfig(
        layers=2,
        heads=2,
        head_size=16,
        width=32,
        feed_forward=64,
        speech_width=16,
        window=96,
        styles=("calm", "wild"),
    )
    return EventTransformer(config).eval()


@pytest.fixture(scope="session", params=["paper", "composer"])
def engine(
    request: pytest.FixtureRequest, network: PaperNetwork, composer: EventTransformer
) -> PaperEngine | EventEngine:
    """Give an engine of either network."""
    from cmt_bridge.model.decoding import engine_for

    return engine_for(composer if request.param == "composer" else network)
