"""Run the installed program as a person does: in a folder of its own, as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests import clips
from tests.e2e.forking import ForkServer

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(sys.executable).with_name("cmt-bridge")
PROGRAM = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-c", "from cmt_bridge.cli import main; main()"]
PATIENCE = 300  # s; for a busy machine

FORKED = ("score", "regenerate", "preview", "convert", "export", "models", "evaluate", "train", "takes", "undo", "diff")
"""Commands whose runs are forks of a process that has loaded torch: it is what takes them longest."""

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the environment of the program: its cache, models and state are those of the tests."""
    home = tmp_path_factory.mktemp("home")
    return {
        **os.environ,
        "CMT_BRIDGE_CACHE": str(home / "cache"),
        "CMT_BRIDGE_MODELS": str(home / "models"),
        "CMT_BRIDGE_STATE": str(home / "state"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "" if SCRIPT.exists() else str(ROOT),
        "PYTHONWARNINGS": "",
        "TERM": "xterm",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the empty folder that the program runs in."""
    path = tmp_path / "here"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def forks(environment: dict[str, str]) -> Iterator[ForkServer | None]:
    """A process that has loaded what the program loads late; None where a process cannot be forked, or torn from it."""
    if not Path("/proc/self/fd").exists():
        yield None
        return
    server = ForkServer(environment)
    yield server
    server.close()


@pytest.fixture
def run(environment: dict[str, str], folder: Path, forks: ForkServer | None) -> Run:
    """Run the program in `folder`, or where `cwd` says, and wait for it.

    Commands that start others, and those with something to be done `before`, are processes started by the system.
    """

    def run_(
        *arguments: object,
        env: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
        cwd: Path = folder,
    ) -> Done:
        words, whole = [*map(str, arguments)], environment | dict(env or {})
        if forks is not None and before is None and words[:1] and words[0] in FORKED:
            return forks.run(words, cwd=cwd, env=whole, timeout=PATIENCE)
        return subprocess.run(
            [*PROGRAM, *words],
            cwd=cwd,
            env=whole,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
            preexec_fn=before,
        )

    return run_


@pytest.fixture(scope="session")
def model(tiny_model: Path) -> Path:
    """Give the weights that the program composes with."""
    return tiny_model


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a clip of 8 s: a shot that pulses at 100 BPM, a hard cut, a shot that pans fast."""
    frames = clips.pulsing(5, 25, bpm=100) + clips.panning(3, 25, speed=120, seed=5)
    return clips.write_clip(tmp_path_factory.mktemp("clip") / "my clip.mp4", frames)


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a clip that takes many seconds to measure."""
    frame = clips.noise(3)
    frames = (clips.moved(frame, 2 * k) for k in range(1500))
    return clips.write_clip(tmp_path_factory.mktemp("long") / "long.mp4", frames)


@pytest.fixture(scope="session")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the metadata of a video of 4 s, in the original's four keys: scored without measuring."""
    return write_metadata(tmp_path_factory.mktemp("metadata") / "metadata.json", 4.0)


def write_metadata(path: Path, duration: float) -> Path:
    import json

    beats = [{"start_time": float(n), "bar": n // 2, "tick": n % 2 * 8, "weight": 0.9} for n in range(int(duration))]
    bars = int(duration // 2) + 1
    data = {"duration": duration, "tempo": 120.0, "vbeats": beats, "flow_magnitude_per_bar": [0.3] * bars}
    path.write_text(json.dumps(data))
    return path


def check_refusal(done: Done, code: int) -> None:
    """Check that the program said in one line what is wrong, and ended with `code`."""
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    *before, last = done.stderr.splitlines()
    assert last.startswith("cmt-bridge: "), done.stderr
    assert all(re.match(r"(Measuring|Composing), \d+%", line) for line in before), done.stderr
    assert "internal error" not in done.stderr
