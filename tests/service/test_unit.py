from __future__ import annotations

import configparser
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cmt_bridge.errors import MissingError, UsageError
from cmt_bridge.service.unit import unit_for

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
    assert parser["Service"]["ExecStart"].startswith(f'"{sys.executable}" "-m" "cmt_bridge" "watch" ')
    assert unit.path.name in unit.begin
    assert unit.path.name in unit.end
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "--user", "verify", unit.path], capture_output=True, text=True, check=False
        )
        assert unit.path.name not in done.stderr, done.stderr
    unit.remove()
    assert not unit.path.exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_launchd_agent_is_one(home: Path, name: str) -> None:
    unit = unit_for(home / name, platform="darwin", home=home)
    unit.install()
    agent = plistlib.loads(unit.path.read_bytes())
    assert agent["ProgramArguments"] == [sys.executable, "-m", "cmt_bridge", "watch", str(home / name)]
    assert unit.path == home / "Library" / "LaunchAgents" / f"{agent['Label']}.plist"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}


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
