from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cmt_bridge.player.lead import leader
from cmt_bridge.player.timebase import Timebase
from tests.player.clockwork import RATE, STEADY

ROOT = Path(__file__).resolve().parents[3]
PEER = Path(__file__).with_name("linked.py")


@pytest.mark.realtime
def test_a_peer_has_our_tempo_our_bar_and_our_start() -> None:
    """In a network of its own, so that nobody's session is moved."""
    command = [sys.executable, str(PEER)]
    apart = ["unshare", "-rn"]
    if shutil.which("unshare") and shutil.which("ip") and not subprocess.run([*apart, "true"]).returncode:
        command = [*apart, "sh", "-c", f"ip link set lo up && exec {sys.executable} {PEER}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, faster, stopped = json.loads(done.stdout)
    assert first == [pytest.approx(120, abs=0.01), pytest.approx(0.5, abs=0.05), True]
    assert faster == [pytest.approx(150, abs=0.01), pytest.approx(1.5, abs=0.05), True]
    assert stopped[2] is False


def test_where_link_is_not_installed_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from cmt_bridge.errors import MissingError

    monkeypatch.setitem(sys.modules, "link", None)
    with pytest.raises(MissingError, match=r"pip install"):
        leader("link", rate=RATE, timebase=Timebase("time", STEADY))
