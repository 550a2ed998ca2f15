from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cmt_bridge.errors import UsageError
from cmt_bridge.service.claim import Claim
from cmt_bridge.service.instance import STATE_VARIABLE, hold, instance_for, instances, state_folder

HOLD = """
import sys
from pathlib import Path
from cmt_bridge.errors import UsageError
from cmt_bridge.service.instance import hold
if sys.argv[2] == "at once":
    sys.stdin.readline()
try:
    with hold(Path(sys.argv[1])) as held:
        held.announce(4711)
        print("held", flush=True)
        sys.stdin.readline()
except UsageError as error:
    print(error, flush=True)
"""
posix = pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    return folder


Process = subprocess.Popen[str]


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    started: list[Process] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def _start(processes: list[Process], folder: Path, when: str = "now") -> Process:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), when], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    processes.append(process)
    return process


def _line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _say(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_locked_folder_is_found_from_inside(folder: Path, tmp_path: Path) -> None:
    with hold(folder) as held:
        held.announce(4711)
        (found,) = instances()
        assert (found.folder, found.pid, found.port) == (folder.resolve(), os.getpid(), 4711)
        assert found.token() == held.token
        assert instance_for(folder) == found
        assert instance_for(folder / "sub" / "not there.mp4") == found
        assert instance_for(tmp_path / "clips2") is None
        assert held.note == ""
    assert instances() == []
    assert instance_for(folder) is None


def test_nothing_is_made_by_looking(tmp_path: Path, folder: Path) -> None:
    assert instances() == []
    assert instance_for(folder) is None
    assert not (tmp_path / "state").exists()


def test_a_link_to_a_folder_is_that_folder(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert state_folder(link) == state_folder(folder)
    with hold(folder), pytest.raises(UsageError, match="watched already by process"), hold(link):
        pass


@pytest.mark.parametrize("other", [".", "sub", ".."])
def test_nested_folders_are_watched_once(folder: Path, other: str) -> None:
    (folder / "sub").mkdir()
    with hold(folder), pytest.raises(UsageError, match=f"process {os.getpid()}") as caught, hold(folder / other):
        pass
    assert "cmt-bridge daemon stop" in caught.value.hint
    with hold(folder / other):
        pass


def test_folders_side_by_side_are_watched_each(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "clips 2").mkdir()
    with hold(folder), hold(tmp_path / "clips 2"):
        assert len(instances()) == 2


def test_what_is_no_folder_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"), hold(tmp_path / "not there"):
        pass


def test_another_process_is_seen_and_refused(folder: Path, processes: list[Process]) -> None:
    process = _start(processes, folder)
    assert _line(process) == "held"
    assert [found.pid for found in instances()] == [process.pid]
    with pytest.raises(UsageError, match=f"by process {process.pid}"), hold(folder):
        pass
    _say(process)
    assert process.wait(10) == 0
    assert instances() == []


def test_after_a_kill_the_folder_is_taken_over(folder: Path, processes: list[Process]) -> None:
    process = _start(processes, folder)
    assert _line(process) == "held"
    token = (state_folder(folder) / "token").read_text()
    process.kill()
    process.wait()
    assert (state_folder(folder) / "instance.json").exists()
    assert instances() == []
    with hold(folder) as held:
        assert held.note == (
            f"The daemon that watched {folder.resolve()} before (process {process.pid}) ended without tidying up."
        )
        assert held.token == token
        assert [found.pid for found in instances()] == [os.getpid()]


def test_a_reused_process_id_is_no_daemon(folder: Path) -> None:
    (state_folder(folder) / "instance.json").write_text(
        f'{{"folder": "{folder}", "pid": {os.getpid()}, "port": 1, "version": "0", "started": ""}}'
    )
    (state_folder(folder) / "lock").touch()
    assert instances() == []


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"folder": 1}', "[" * 60_000])
def test_a_damaged_note_of_an_instance_is_no_instance(folder: Path, damage: str) -> None:
    (state_folder(folder) / "instance.json").write_text(damage)
    assert instances() == []
    with hold(folder) as held:
        assert held.note == ""


@pytest.mark.parametrize("nested", [False, True])
def test_of_many_that_start_at_once_one_goes_on(folder: Path, processes: list[Process], nested: bool) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    places = [folder, folder / "a", folder / "a" / "b"] if nested else [folder] * 3
    for place in places * 2:
        _start(processes, place, "at once")
    for process in processes:
        _say(process)
    said = [_line(process) for process in processes]
    assert said.count("held") == 1
    assert all("watched" in line for line in said if line != "held")


@posix
def test_only_the_owner_can_read_what_is_kept(folder: Path) -> None:
    with hold(folder) as held:
        assert stat.S_IMODE(held.state.stat().st_mode) == 0o700
        assert stat.S_IMODE((held.state / "token").stat().st_mode) == 0o600
        assert len(held.token) == 43


@posix
@pytest.mark.parametrize("damage", ["mode", "empty", "short", "link", "folder of none"])
def test_a_token_that_others_may_know_is_made_anew(folder: Path, tmp_path: Path, damage: str) -> None:
    with hold(folder) as held:
        token, path = held.token, held.state / "token"
    match damage:
        case "mode":
            path.chmod(0o644)
        case "empty":
            path.write_text("")
        case "short":
            path.write_text("abc")
        case "link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case _:
            path.unlink()
            os.mkfifo(path, 0o600)
    with hold(folder) as held:
        assert held.token != token
        assert len(held.token) == 43
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600


@posix
def test_a_state_folder_that_others_can_enter_is_closed(folder: Path) -> None:
    state_folder(folder).chmod(0o755)
    assert stat.S_IMODE(state_folder(folder).stat().st_mode) == 0o700


@posix
def test_a_state_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    state = state_folder(folder)
    state.rmdir()
    state.symlink_to(tmp_path)
    with pytest.raises(UsageError, match="belongs to somebody else"):
        state_folder(folder)


def test_state_lies_in_the_systems_place_by_default(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state_folder(folder).parent == tmp_path / "state"
    monkeypatch.delenv(STATE_VARIABLE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in state_folder(folder).parents


LOSSES: dict[str, Callable[[Path], object]] = {
    "all states": lambda state: shutil.rmtree(state.parent),
    "the state": shutil.rmtree,
    "moved away": lambda state: state.rename(state.with_name("away")),
    "the lock": lambda state: (state / "lock").unlink(),
    "another lock": lambda state: (state / "lock").replace(state / "old") and (state / "lock").touch(),
    "the token": lambda state: (state / "token").unlink(),
    "another token": lambda state: (state / "token").write_text("x" * 43),
    "the note": lambda state: (state / "instance.json").unlink(),
    "another note": lambda state: (state / "instance.json").write_text("{}"),
    "a fifo": lambda state: ((state / "instance.json").unlink(), os.mkfifo(state / "instance.json")),
}


@posix
@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_deleted_of_the_state_comes_back(folder: Path, processes: list[Process], loss: str) -> None:
    with hold(folder) as held:
        held.announce(4711)
        assert held.mend() == ""
        LOSSES[loss](held.state)
        if sys.platform == "linux":  # not even meanwhile does another begin
            assert "watched already" in _line(_start(processes, folder))
        assert held.mend().endswith("were deleted or replaced; they are there again.")
        assert held.mend() == ""
        (found,) = instances()
        assert (found.folder, found.pid, found.port, found.token()) == (folder, os.getpid(), 4711, held.token)
        assert stat.S_IMODE(held.state.stat().st_mode) == 0o700
        assert f"watched already by process {os.getpid()}" in _line(_start(processes, folder))
    assert instances() == []
    assert _line(_start(processes, folder)) == "held"


def test_a_daemon_that_lost_its_state_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Claim, "acquire", lambda _: True)  # as on systems that have no such thing
    with hold(folder) as held:
        held.announce(4711)
        shutil.rmtree(held.state)
        with hold(folder) as other:
            with pytest.raises(UsageError, match="watched already by process"):
                held.mend()
            assert other.mend() == ""
            held.release()
            assert [found.folder for found in instances()] == [folder]


def test_a_parent_folders_daemon_ends_one_without_state(folder: Path) -> None:
    with hold(folder) as held:
        shutil.rmtree(held.state)
        with hold(folder.parent), pytest.raises(UsageError, match="is being watched already"):
            held.mend()


@pytest.mark.skipif(sys.platform != "linux", reason="claims are those of Linux")
def test_a_claim_is_held_once_and_ends_with_its_process(processes: list[Process]) -> None:
    code = "from cmt_bridge.service.claim import Claim; c = Claim('a'); print(c.acquire(), flush=True); input()"
    first, second, other = Claim("a"), Claim("a"), Claim("b")
    assert first.acquire()
    assert not second.acquire()
    assert other.acquire()
    other.release()
    first.release()
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    processes.append(process)
    assert _line(process) == "True"
    assert not second.acquire()
    process.kill()
    process.wait()
    assert second.acquire()
    second.release()


@pytest.mark.skipif(sys.platform != "linux", reason="claims are those of Linux")
def test_a_name_without_a_living_owner_is_free() -> None:
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(f"\0cmt-bridge {os.getuid()} c")
        assert Claim("c").acquire()
