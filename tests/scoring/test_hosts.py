from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.errors import MissingError, UsageError
from cmt_bridge.scoring import hosts
from cmt_bridge.scoring.hosts import install, list_hosts, page_of, pages_folder, place_of, remove, scripts_folder

ROOT = Path(__file__).resolve().parents[2]
SCRIPTED = [name for name, host in HOSTS.items() if host.scripts]


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", SCRIPTED)
def test_what_is_installed_is_listed_and_removed_without_a_trace(name: str, tmp_path: Path) -> None:
    place = tmp_path / "host" / "scripts"
    place.mkdir(parents=True)
    (place / "mine.lua").write_text("-- mine")
    done = install(name, place)
    assert done.folder == place
    assert done.files
    assert all((place / each).is_file() for each in done.files)
    assert install(name, place).files == done.files
    gone = remove(name, place)
    assert (gone.files, gone.left) == (done.files, ())
    assert files(place) == {"mine.lua": b"-- mine"}
    with pytest.raises(UsageError, match="No scripts"):
        remove(name, place)


@pytest.mark.parametrize("name", SCRIPTED)
def test_folders_that_were_made_for_scripts_go_with_them(name: str, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    place = tmp_path / "host" / "config" / "scripts"
    for again in (False, True):
        install(name, place)
        if again:
            install(name, place)
        (place / ".x.lua.01234567.part.lua").write_text("half")  # of an installation that was killed
        remove(name, place)
        assert list((tmp_path / "host").iterdir()) == []
    (tmp_path / "host" / "config").mkdir()
    install(name, place)
    remove(name, place)
    assert list((tmp_path / "host").rglob("*")) == [tmp_path / "host" / "config"]


def test_a_script_that_somebody_changed_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    first = install("logic", tmp_path).files[0]
    (tmp_path / first).write_text("// mine now")
    with pytest.raises(UsageError, match="not as cmt-bridge wrote it"):
        install("logic", tmp_path)
    assert remove("logic", tmp_path).left == (first,)
    assert (tmp_path / first).read_text() == "// mine now"


def test_a_script_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "cmt-bridge.js").write_text("// theirs")
    before = files(tmp_path)
    with pytest.raises(UsageError):
        install("logic", tmp_path)
    assert files(tmp_path) == before


def test_a_newer_version_takes_what_it_has_not_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    shutil.copytree(scripts_folder(), source)
    (source / "macos" / "old.js").write_text("// of a version before")
    monkeypatch.setattr(hosts, "scripts_folder", lambda: source)
    place = tmp_path / "place"
    assert "old.js" in install("logic", place).files
    (source / "macos" / "old.js").unlink()
    assert "old.js" not in install("logic", place).files
    assert not (place / "old.js").exists()


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"format": "another"}', '{"format": "cmt-bridge-scripts"}'])
def test_a_damaged_receipt_takes_nothing_along(tmp_path: Path, text: str) -> None:
    (tmp_path / ".cmt-bridge.json").write_text(text)
    (tmp_path / "mine.js").write_text("")
    with pytest.raises(UsageError):
        remove("logic", tmp_path)
    assert (tmp_path / "mine.js").exists()


def test_a_receipt_leading_outside_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    place = tmp_path / "place"
    install("logic", place)
    receipt = json.loads((place / ".cmt-bridge.json").read_text())
    empty = hosts.sha256_of(victim)
    receipt["files"] |= {"../victim": empty, str(victim): empty}
    (place / ".cmt-bridge.json").write_text(json.dumps(receipt))
    remove("logic", place)
    assert victim.exists()


def test_hosts_look_for_scripts_where_their_makers_say(tmp_path: Path) -> None:
    for platform, system in (("linux", "linux"), ("linux2", "linux"), ("darwin", "darwin"), ("win32", "win32")):
        for host in HOSTS.values():
            wanted = host.places.get(system)
            place = place_of(host, platform=platform, home=tmp_path)
            assert place == (None if wanted is None else tmp_path / wanted)


def test_a_host_without_scripts_says_where_to_read() -> None:
    with pytest.raises(MissingError, match="hosts show live"):
        install("live")
    with pytest.raises(UsageError, match="Choose from"):
        install("nothing")


def test_every_host_has_its_page() -> None:
    for host in HOSTS.values():
        assert page_of(host).is_file(), host.name
    assert [each["host"] for each in list_hosts()] == list(HOSTS)


def test_a_wheel_has_what_is_named(tmp_path: Path) -> None:
    """Lay the package out as a wheel has it: what pyproject.toml puts into it, and nothing of the checkout."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    site = tmp_path / "site"
    for package in wheel["packages"]:
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in wheel["force-include"].items():
        (site / target).symlink_to(ROOT / source, target_is_directory=True)
    code = """
import json, pathlib, cmt_bridge
from cmt_bridge.scoring.hosts import install, list_hosts, page_of, host_of
from cmt_bridge.model.registry import list_models
root = pathlib.Path(cmt_bridge.__file__).parent
pages = [pathlib.Path(each["page"]) for each in list_hosts()]
assert len(pages) == 9 and all(page.is_file() and page.is_relative_to(root) for page in pages), pages
assert all(model.path.is_file() and model.path.is_relative_to(root) for model in list_models())
for name in ("reaper", "ardour", "bitwig", "logic"):
    assert install(name, pathlib.Path("scripts", name)).files
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(site), "CMT_BRIDGE_MODELS": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_page_is_shown(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("hosts", "show", "reaper")
    assert (code, out.strip()) == (0, (pages_folder() / "reaper.md").read_text(encoding="utf-8").strip())


def test_the_command_line_installs_lists_and_removes(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    code, printed, said = run("hosts", "install", "reaper")
    assert code == 0
    assert "Load ReaScript" in said
    assert all(Path(line).is_file() for line in printed.splitlines())
    code, listed, _ = run("hosts", "list", "--json")
    reaper = json.loads(listed)["hosts"][0]
    assert reaper["folder"] == str(tmp_path / ".config/REAPER/Scripts/cmt-bridge")
    assert sorted(reaper["installed"]) == sorted(
        Path(line).relative_to(reaper["folder"]).as_posix() for line in printed.splitlines()
    )
    assert run("hosts", "remove", "reaper")[0] == 0
    assert not Path(reaper["folder"]).exists()
    code, _, said = run("hosts", "remove", "reaper")
    assert code == 2
    assert "hosts list" in said


def test_texts_are_written_so_that_lua_reads_them_back(tmp_path: Path) -> None:
    lua = shutil.which("lua5.4")
    assert lua, "Lua is not installed, which reads the scripts for REAPER: apt install lua5.4"
    for text in ("/home/x/cmt bridge", 'C:\\Users\\"Ü"\n\\1', "日本 %s [[x]]", "\x00\x7f1"):
        script = tmp_path / "s.lua"
        script.write_text(f"io.write({hosts._lua(text)})\n")
        done = subprocess.run([lua, str(script)], capture_output=True, check=True)
        assert done.stdout.decode() == text
