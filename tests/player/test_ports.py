from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cmt_bridge.player.ports import System, best, survey
from tests.jack import Server, recorder


def ports(server: Server | None, *options: str) -> str:
    environment = server.environment if server is not None else None
    command = [sys.executable, "-m", "cmt_bridge", "ports", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_running_server_is_used_and_its_ports_listed(jack: Server) -> None:
    with recorder(jack, "daw"):
        found = json.loads(ports(jack, "--json"))
        text = ports(jack)
    assert found["used"] == "jack"
    system = next(system for system in found["systems"] if system["name"] == "jack")
    assert system["there"]
    assert system["to"] == ["daw:in 1"]
    assert "48000 Hz, 256 frames" in system["detail"]
    assert "* JACK" in text
    assert "--to    daw:in 1" in text
    assert "cmt-bridge" not in jack.run("jack_lsp")


def test_what_is_missing_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "cmt-test-none")
    for platform in ("linux", "darwin", "win32"):
        systems = survey(platform)
        assert [system.name for system in systems][::2] == ["jack", "link"]
        for system in systems:
            assert system.there or system.remedy
    jack = survey()[0]
    assert not jack.there
    assert "cmt-test-none" in jack.detail


def test_jack_goes_before_the_systems_own_and_link_is_none() -> None:
    jack, alsa, link = (System(name, True, "") for name in ("jack", "alsa", "link"))
    assert best((jack, alsa, link)) is jack
    assert best((System("jack", False, ""), alsa, link)) is alsa
    assert best((System("jack", False, ""), System("alsa", False, ""), link)) is None
