"""Child processes: messages both ways, ends of every kind, and nothing that a library prints among the messages."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.ipc.child import BlockingChild, ChildProcess, command_line, how_it_ended
from cmt_bridge.live.conductor import COMPOSER, PLAYER
from cmt_bridge.live.measuring import MODULE as MEASURING
from cmt_bridge.service.lane import WORKER

ECHO = "tests.ipc.echo"
ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
posix = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signals and /proc are those of Linux")


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def run(test: Callable[[ChildProcess], Awaitable[None]], module: str = ECHO) -> None:
    async def body() -> None:
        child = await ChildProcess.start("echo", module)
        try:
            await asyncio.wait_for(test(child), PATIENCE)
        finally:
            await child.end()

    asyncio.run(body())


async def answer(child: ChildProcess) -> dict[str, Any] | None:
    sender, message = await child.inbox.get()
    assert sender is child
    return message


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + PATIENCE
    while is_alive(pid):
        assert time.monotonic() < until, f"process {pid} goes on"
        time.sleep(0.02)


def test_messages_go_both_ways_in_their_order() -> None:
    async def test(child: ChildProcess) -> None:
        for number in range(100):
            child.send({"number": number, "text": "ü\u2028" * 100})
        await child.drain()
        for number in range(100):
            message = await answer(child)
            assert message is not None
            assert (message["number"], message["text"]) == (number, "ü\u2028" * 100)
        assert child.is_running
        assert child.exit_code is None
        assert await child.end() == 0
        assert await answer(child) is None
        child.send({"number": 0})  # to one that has ended: nothing
        assert not child.is_running

    run(test)


def test_what_a_library_prints_is_no_message() -> None:
    async def test(child: ChildProcess) -> None:
        child.order("print", text="a message")
        assert await answer(child) == {"do": "print", "text": "a message"}

    run(test)


@posix
def test_a_child_has_its_priority_and_ignores_ctrl_c() -> None:
    async def test(child: ChildProcess) -> None:
        child.send({"number": 1})
        message = await answer(child)
        assert message is not None
        assert message["nice"] == os.nice(0) + 3
        os.kill(child.pid, signal.SIGINT)
        child.send({"number": 2})
        assert (await answer(child) or {})["number"] == 2
        assert os.getpgid(child.pid) != os.getpgid(0)

    run(test)


def test_a_child_imports_nothing_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.chdir(tmp_path)

    async def test(child: ChildProcess) -> None:
        child.send({"number": 1})
        message = await answer(child)
        assert message is not None
        assert str(tmp_path) not in message["path"]
        assert "" not in message["path"]

    run(test)


@pytest.mark.parametrize(("code", "words"), [(7, "ended with code 7"), (0, "ended with code 0")])
def test_how_a_child_ended_is_known(code: int, words: str) -> None:
    async def test(child: ChildProcess) -> None:
        child.order("exit", code=code)
        assert await answer(child) is None
        assert child.exit_code == code
        assert how_it_ended(code) == words

    run(test)


@posix
def test_a_killed_child_is_known_by_its_signal() -> None:
    async def test(child: ChildProcess) -> None:
        os.kill(child.pid, signal.SIGKILL)
        assert await answer(child) is None
        assert how_it_ended(child.exit_code or 0) == "was killed by signal 9"

    run(test)


@posix
def test_a_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmt_bridge.ipc.child.GRACE", 0.2)

    async def test(child: ChildProcess) -> None:
        child.order("hang")
        assert await answer(child) == {"do": "hang"}
        assert await child.end() == -signal.SIGKILL
        assert not is_alive(child.pid)

    run(test)


@posix
def test_a_child_that_talks_nonsense_is_killed() -> None:
    async def test(child: ChildProcess) -> None:
        child.order("nonsense")
        assert await answer(child) is None
        assert child.exit_code == -signal.SIGKILL

    run(test)


def test_messages_can_be_redirected() -> None:
    async def test(child: ChildProcess) -> None:
        first, second = child.inbox, asyncio.Queue[Any]()
        child.redirect(second)
        child.send({"number": 1})
        assert (await second.get())[1]["number"] == 1
        assert first.empty()

    run(test)


@posix
@pytest.mark.parametrize("way", ["input", "SIGTERM"])
def test_a_child_in_the_midst_of_work_tidies_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setenv("TIDIED", str(tmp_path / "tidied"))
    monkeypatch.setenv("TIDYING", "20")
    monkeypatch.setenv("INTERRUPT", "1")

    async def test(child: ChildProcess) -> None:
        child.order("work")
        assert await answer(child) == {"do": "work"}
        if way == "SIGTERM":
            os.kill(child.pid, signal.SIGTERM)
            assert await answer(child) is None
        assert await child.end() == 0
        assert (tmp_path / "tidied").read_text() == "tidied"

    run(test)


def test_a_child_that_cannot_be_interrupted_ends_all_the_same() -> None:
    async def test(child: ChildProcess) -> None:
        child.order("work")
        assert await answer(child) == {"do": "work"}
        assert await child.end() == 0

    run(test)


@pytest.mark.parametrize("module", [ECHO, WORKER, COMPOSER, MEASURING, PLAYER])
def test_every_child_ends_with_its_input(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMT_BRIDGE_STATE", str(tmp_path))

    async def test(child: ChildProcess) -> None:
        await child.end()
        assert child.exit_code is not None
        assert child.exit_code >= 0

    run(test, module)


@posix
@pytest.mark.parametrize("module", [ECHO, WORKER, COMPOSER, MEASURING, PLAYER])
def test_every_child_ends_with_its_killed_parent(module: str) -> None:
    code = (
        "import asyncio\n"
        "from cmt_bridge.ipc.child import ChildProcess\n"
        "async def main():\n"
        f"    child = await ChildProcess.start('child', {module!r})\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    wait_until_gone(child)


@posix
@pytest.mark.parametrize("module", [WORKER, COMPOSER, MEASURING, PLAYER])
def test_no_child_is_ended_by_ctrl_c(module: str) -> None:
    process = subprocess.Popen(command_line(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    with process:
        until = time.monotonic() + PATIENCE
        ignored = False
        while not ignored and time.monotonic() < until:
            status = Path(f"/proc/{process.pid}/status").read_text()
            mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
            ignored = bool(int(mask, 16) >> (signal.SIGINT - 1) & 1)
            time.sleep(0.02)
        process.stdin.close()
        assert ignored


def test_a_parent_without_a_loop_has_a_child_too() -> None:
    messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
    child = BlockingChild(ECHO, messages.put)
    child.send({"number": 1})
    message = messages.get(timeout=PATIENCE)
    assert message is not None
    assert message["number"] == 1
    assert child.is_running
    child.terminate()
    assert messages.get(timeout=PATIENCE) is None
    assert not child.is_running
    child.send({"number": 2})


@posix
def test_a_stopped_child_is_killed_without_a_loop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmt_bridge.ipc.child.GRACE", 0.2)
    messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
    child = BlockingChild(ECHO, messages.put)
    child.send({"do": "hang"})
    assert messages.get(timeout=PATIENCE) == {"do": "hang"}
    child.terminate()
    assert messages.get(timeout=PATIENCE) is None
