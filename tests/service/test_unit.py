from __future__ import annotations

import configparser
import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cmt_bridge.errors import CmtBridgeError, MissingError, UsageError
from cmt_bridge.service.instance import instances
from cmt_bridge.service.unit import Unit, unit_for

NAMES = ("videos", "my videos", "Ünïcode – 日本", 'a "quoted" % $HOME \\ one', "tab\tand\nline")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_systemd_unit_is_one(home: Path, name: str) -> None:
    folder = home / name
    folder.mkdir()
    unit = unit_for(folder, platform="linux")
    unit.install()
    assert unit.path.parent == home / "config" / "systemd" / "user"
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.read(unit.path, encoding="utf-8")
    assert parser["Service"]["Restart"] == "on-failure"
    assert parser["Service"]["ExecStart"].startswith(f'"{sys.executable}" "-P" "-m" "cmt_bridge" "watch" ')
    assert unit.path.name in unit.begin
    assert unit.path.name in unit.end[0]
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "--user", "verify", unit.path],
            env={**os.environ, "XDG_RUNTIME_DIR": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert unit.path.name not in done.stderr, done.stderr
    assert unit.remove() == ()
    assert not any(path.is_file() for path in home.rglob("*"))


@pytest.mark.parametrize("name", NAMES)
def test_a_launchd_agent_is_one(home: Path, name: str) -> None:
    unit = unit_for(home / name, platform="darwin", home=home)
    unit.install()
    agent = plistlib.loads(unit.path.read_bytes())
    assert agent["ProgramArguments"] == [sys.executable, "-P", "-m", "cmt_bridge", "watch", str(home / name)]
    assert unit.path == home / "Library" / "LaunchAgents" / f"{agent['Label']}.plist"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}


def test_a_unit_asks_for_no_more_than_it_needs(home: Path) -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit_for(home, platform="linux").text.decode())
    service = parser["Service"]
    for name in ("NoNewPrivileges", "LockPersonality", "RestrictNamespaces", "RestrictSUIDSGID"):
        assert service[name] == "yes"
    assert service["SystemCallArchitectures"] == "native"
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"}
    # What needs a namespace of its own, or breaks torch, JACK or files for a group, must not come in.
    hindering = {
        "PrivateTmp",
        "PrivateUsers",
        "ProtectSystem",
        "ProtectHome",
        "PrivateDevices",
        "MemoryDenyWriteExecute",
    }
    assert not {*hindering, "RestrictRealtime", "CapabilityBoundingSet", "UMask", "IPAddressDeny"} & set(service)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Put programs in the place of the system's: they note what they are told, and if the file was there then.

    What this gives does so for a unit, `code` being their exit code, and tells what they were told.
    """
    programs, notes = tmp_path / "programs", tmp_path / "notes"
    programs.mkdir()

    def prepare(unit: Unit, code: int = 0) -> None:
        for name in ("systemctl", "launchctl"):
            there = f"[ -e {shlex.quote(str(unit.path))} ] && there=there || there=gone"
            lines = ["#!/bin/sh", there, f'echo "{name} $* $there" >> {shlex.quote(str(notes))}', f"exit {code}"]
            (programs / name).write_text("\n".join(lines))
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def told(unit: Unit | None = None, code: int = 0) -> list[str]:
        if unit is not None:
            prepare(unit, code)
        return notes.read_text().splitlines() if notes.exists() else []

    return told


@pytest.mark.parametrize("code", [0, 1])
def test_a_service_stops_before_its_unit_is_removed(home: Path, system: Callable[..., list[str]], code: int) -> None:
    (home / "videos").mkdir()
    unit = unit_for(home / "videos", platform="linux")
    unit.install()
    system(unit, code)
    link = unit.path.parent / "default.target.wants" / unit.path.name
    link.parent.mkdir()
    link.symlink_to(unit.path)
    asked: list[bool] = []
    assert unit.remove(lambda: asked.append(unit.path.exists())) == ()
    name = unit.path.name
    assert system() == [
        f"systemctl --user disable --now {name} there",
        "systemctl --user daemon-reload gone",
        f"systemctl --user reset-failed {name} gone",
    ]
    assert asked == ([True] if code else [])
    assert list(unit.path.parent.iterdir()) == []


def test_what_runs_is_stopped_before_an_agent_goes(home: Path, system: Callable[..., list[str]]) -> None:
    unit = unit_for(home / "my videos", platform="darwin", home=home)
    unit.install()
    system(unit)
    assert unit.remove() == ()
    assert system() == [f"launchctl unload {unit.path} there"]
    assert list(unit.path.parent.iterdir()) == []


def test_a_unit_whose_daemon_does_not_end_stays(home: Path, system: Callable[..., list[str]]) -> None:
    unit = unit_for(home, platform="linux")
    unit.install()
    system(unit, 1)

    def still() -> None:
        raise CmtBridgeError("It does not end.")

    with pytest.raises(CmtBridgeError, match="does not end"):
        unit.remove(still)
    assert unit.path.exists()


def test_a_persons_changes_to_a_unit_are_left(home: Path) -> None:
    unit = unit_for(home, platform="linux")
    unit.install()
    added = unit.path.with_name(f"{unit.path.name}.d")
    added.mkdir()
    (added / "override.conf").write_text("[Service]\nNice=1\n")
    other = unit.path.parent / "default.target.wants" / "other.service"
    other.parent.mkdir()
    other.symlink_to("/nowhere")
    assert unit.remove() == (added,)
    assert (added / "override.conf").exists()
    assert other.is_symlink()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a systemd unit")
def test_a_daemon_the_system_cannot_stop_is_asked_to(
    home: Path,
    system: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., tuple[int, str, str]],
) -> None:
    monkeypatch.setenv("CMT_BRIDGE_STATE", str(home / "state"))
    (home / "videos").mkdir()
    run("service", "install", home / "videos")
    unit = unit_for(home / "videos")
    system(unit, 1)
    start = [sys.executable, "-m", "cmt_bridge", "daemon", "start", home / "videos"]
    assert subprocess.run(start, check=False, capture_output=True).returncode == 0
    code, out, err = run("service", "remove", home / "videos")
    assert (code, out, err) == (0, f"{unit.path}\n", "")
    assert instances() == []
    assert not unit.path.exists()
    assert run("service", "remove", home / "videos")[0] == 2


def test_each_folder_has_a_unit_of_its_own(home: Path) -> None:
    for name in ("a/videos", "b/videos"):
        (home / name).mkdir(parents=True)
    first, second = (unit_for(home / name, platform="linux").path for name in ("a/videos", "b/videos"))
    assert first != second
    (home / "link").symlink_to(home / "a" / "videos")
    assert unit_for(home / "link", platform="linux").path == first


def test_a_file_of_somebody_else_is_left_alone(home: Path) -> None:
    unit = unit_for(home, platform="linux")
    with pytest.raises(UsageError, match="There is no"):
        unit.remove()
    unit.path.parent.mkdir(parents=True)
    unit.path.write_text("[Unit]\n")
    with pytest.raises(UsageError, match=r"is not cmt-bridge's\."):
        unit.install()
    with pytest.raises(UsageError, match="There is no"):
        unit.remove()
    assert unit.path.read_text() == "[Unit]\n"


def test_other_systems_have_none(home: Path) -> None:
    with pytest.raises(MissingError, match="writes no service"):
        unit_for(home, platform="win32")


def test_where_things_lie_is_said_to_the_service_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMT_BRIDGE_CACHE", '/a $b 100% "c"')
    unit = unit_for(home, platform="linux", home=home).text.decode()
    assert 'Environment="CMT_BRIDGE_CACHE=/a $b 100%% \\"c\\""\n' in unit
    agent = plistlib.loads(unit_for(home, platform="darwin", home=home).text)
    assert agent["EnvironmentVariables"]["CMT_BRIDGE_CACHE"] == '/a $b 100% "c"'
