from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.errors import UsageError
from cmt_bridge.service import database, finder, runner
from cmt_bridge.service.client import Client
from cmt_bridge.service.daemon import Daemon
from cmt_bridge.service.dispatch import dispatch
from cmt_bridge.service.instance import hold, instances, state_folder
from cmt_bridge.service.openapi import operations
from cmt_bridge.service.reason import reason_file
from cmt_bridge.service.status import DaemonStatus
from tests.service.house import configure, kill, serving, until

pytestmark = pytest.mark.slow

Drawer = Callable[..., bytes]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE", 0.3)
    monkeypatch.setattr(runner, "GIVE_WAY", 0.1)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await test()

    asyncio.run(body())


def status_of(daemon: Daemon) -> DaemonStatus:
    status = daemon.status
    assert status is not None
    return status


async def ask(daemon: Daemon, operation: str, **fields: Any) -> dict[str, Any]:
    """Ask as HTTP, OSC and the spool do."""
    return await dispatch(daemon, operations()[operation], fields)


async def jobs(daemon: Daemon, state: str | None = None) -> list[dict[str, Any]]:
    """Give the jobs, the newest first."""
    found: list[dict[str, Any]] = (await ask(daemon, "jobs", **({"state": state} if state else {})))["jobs"]
    return found


async def states(daemon: Daemon) -> list[tuple[str, str]]:
    return [(job["path"], job["state"]) for job in reversed(await jobs(daemon))]


def has(daemon: Daemon, **counts: int) -> Callable[[], bool]:
    return lambda: counts.items() <= status_of(daemon).jobs.items()


async def until_composing(daemon: Daemon) -> None:
    while not [job for job in await jobs(daemon, "running") if job["stage"] == "compose"]:
        await asyncio.sleep(0.02)


def takes(clip: Path) -> list[str]:
    return sorted(path.name for path in clip.with_suffix(".cmt").glob("take *"))


def test_a_broken_clip_is_explained_and_holds_nobody_up(home: Path, tiny_model: Path, drawer: Drawer) -> None:
    configure(home, tiny_model)
    (home / "a.mp4").write_bytes(b"no video")
    (home / "b.mov").write_text("not mine to read")
    (home / "b.mov was not scored.txt").write_text("a note of somebody else")
    cut = drawer(1, 4.0)
    (home / "c.mp4").write_bytes(cut[: len(cut) // 2])
    (home / "d.mp4").write_bytes(drawer(2))

    async def test() -> None:
        async with serving(home) as daemon:
            await until(has(daemon, done=1, failed=3))
            assert dict(await states(daemon)) == {
                "a.mp4": "failed",
                "b.mov": "failed",
                "c.mp4": "failed",
                "d.mp4": "done",
            }
            said = reason_file(home / "a.mp4").read_text()
            assert said.startswith("This clip was not scored: a.mp4\n\n")
            assert str(home / "a.mp4") in said.split("\n\n")[1]
            assert reason_file(home / "b.mov").read_text() == "a note of somebody else"
            assert not reason_file(home / "d.mp4").exists()

            (home / "new").write_bytes(drawer(3))
            (home / "new").replace(home / "a.mp4")
            (home / "b.mov").unlink()
            (home / "c.mp4").unlink()
            await until(has(daemon, done=2, failed=3))
            await until(lambda: not reason_file(home / "c.mp4").exists())
            assert not reason_file(home / "a.mp4").exists()
            assert reason_file(home / "b.mov").exists()
            assert takes(home / "a.mp4") == ["take 1"]

    run(test)


def test_a_clip_waits_for_a_configuration_that_can_be_used(home: Path, tiny_model: Path, drawer: Drawer) -> None:
    configure(home, tiny_model, watch='ignore = ["proxies/*"]')
    (home / "sub").mkdir()
    (home / "proxies").mkdir()
    (home / "sub" / "cmt-bridge.toml").write_text("[score]\ncontroll = 1\n")
    (home / "sub" / "a.mp4").write_bytes(drawer(1))
    (home / "proxies" / "p.mp4").write_bytes(drawer(2))

    async def test() -> None:
        async with serving(home) as daemon:
            note = reason_file(home / "sub" / "a.mp4")
            await until(note.exists)
            assert "Did you mean control?" in note.read_text()
            assert "tried again when that is in order" in note.read_text()
            (job,) = await jobs(daemon, "waiting")
            assert "controll" in job["reason"]
            assert job["tries"] == 0
            (home / "sub" / "cmt-bridge.toml").write_text("[score]\ncontrol = 1\n[outputs]\ndrop = '../session'\n")
            await until(has(daemon, done=1))
            assert not note.exists()
            assert takes(home / "sub" / "a.mp4") == ["take 1"]
            assert (home / "session" / "a.mid").is_file()
            assert not (home / "sub" / "a.mid").exists()
            assert status_of(daemon).videos == 1

            # The watched folder's own configuration breaks, and is corrected: what it says holds at once.
            good = (home / "cmt-bridge.toml").read_text()
            (home / "cmt-bridge.toml").write_text("[score\n")
            (home / "b.mp4").write_bytes(drawer(3))
            await until(lambda: status_of(daemon).problems)
            (problem,) = status_of(daemon).problems
            assert "is not valid TOML" in problem
            await until(reason_file(home / "b.mp4").exists)
            (home / "cmt-bridge.toml").write_text(good.replace("proxies/*", "nothing"))
            await until(has(daemon, done=3))
            assert status_of(daemon).problems == ()
            assert takes(home / "b.mp4") == takes(home / "proxies" / "p.mp4") == ["take 1"]

            # What is ignored from now on is not scored, though it waited already.
            (home / "long.mp4").write_bytes(drawer(4, 3.0))
            await until(has(daemon, running=1))
            worker = status_of(daemon).workers["batch"]
            assert worker is not None
            os.kill(worker, signal.SIGSTOP)
            (home / "proxies" / "q.mp4").write_bytes(drawer(5))
            await until(has(daemon, waiting=1))
            (home / "cmt-bridge.toml").write_text(good)
            await until(lambda: status_of(daemon).videos == 3)
            os.kill(worker, signal.SIGCONT)
            await until(has(daemon, waiting=0, running=0))
            assert (await states(daemon))[-1] == ("proxies/q.mp4", "failed")
            assert takes(home / "proxies" / "q.mp4") == []

    run(test)


def test_a_model_that_is_missing_or_damaged_is_waited_for(
    home: Path, tiny_model: Path, drawer: Drawer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "RETRY_EVERY", 0.5)
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"damaged")
    configure(home, weights)
    (home / "a.mp4").write_bytes(drawer(1))

    async def test() -> None:
        async with serving(home) as daemon:
            await until(reason_file(home / "a.mp4").exists)
            assert str(weights) in reason_file(home / "a.mp4").read_text()
            shutil.copy(tiny_model, weights)
            await until(has(daemon, done=1))
            assert not reason_file(home / "a.mp4").exists()

    run(test)


def test_a_worker_that_dies_costs_one_of_three_tries(home: Path, tiny_model: Path, drawer: Drawer) -> None:
    configure(home, tiny_model, watch="release = 0.01")
    (home / "a.mp4").write_bytes(drawer(1))

    async def test() -> None:
        async with serving(home) as daemon:
            killed: set[int] = set()
            for _ in range(3):
                await until(lambda: status_of(daemon).workers["batch"] not in (None, *killed))
                worker = status_of(daemon).workers["batch"]
                assert worker is not None
                killed.add(worker)
                kill(worker)
            await until(has(daemon, failed=1))
            assert "killed by signal 9" in reason_file(home / "a.mp4").read_text()
            (job,) = await jobs(daemon)
            assert (job["tries"], "memory" in job["reason"]) == (3, True)

            (home / "b.mp4").write_bytes(drawer(2))
            await until(lambda: status_of(daemon).workers["batch"] not in (None, *killed))
            kill(status_of(daemon).workers["batch"])
            await until(has(daemon, done=1))
            job = (await jobs(daemon, "done"))[0]
            assert (job["path"], job["tries"], job["takes"]) == ("b.mp4", 2, [1])
            assert takes(home / "b.mp4") == ["take 1"]

            # With nothing to do, the process goes, and the model with it.
            worker = status_of(daemon).workers["batch"]
            assert worker is not None
            await until(lambda: status_of(daemon).workers["batch"] is None)
            await until(lambda: not Path(f"/proc/{worker}").exists())

    run(test)


def test_what_a_person_asks_for_goes_before(home: Path, tiny_model: Path, drawer: Drawer) -> None:
    configure(home, tiny_model, "variations = 3")
    (home / "a.mp4").write_bytes(drawer(1, 3.0))

    async def test() -> None:
        async with serving(home) as daemon:
            await until_composing(daemon)
            asked = await ask(daemon, "score", path="a.mp4", seed=7, variations=1)
            await until(has(daemon, done=2))
            found, wanted = [await ask(daemon, "job", id=number) for number in (1, asked["id"])]
            assert (wanted["tries"], found["tries"], wanted["takes"], found["takes"]) == (1, 1, [1], [1])
            assert [path.name for path in home.glob("*.cmt")] == ["a.cmt"]
            assert (await ask(daemon, "takes", path="a.mp4"))["takes"][0]["seed"] == 7
            with pytest.raises(UsageError, match=r"There is no nothing\.mp4"):
                await ask(daemon, "score", path="nothing.mp4")
            cancelled = await ask(daemon, "score", path="a.mp4", variations=20)
            await until_composing(daemon)
            assert (await ask(daemon, "cancel", id=cancelled["id"]))["state"] == "cancelled"
            await until(lambda: status_of(daemon).workers["live"] is None)
            assert takes(home / "a.mp4") == ["take 1"]
            with pytest.raises(UsageError, match="There is no job 99"):
                await ask(daemon, "cancel", id=99)

    run(test)


def test_a_folder_that_goes_away_is_waited_for(home: Path, tiny_model: Path, drawer: Drawer) -> None:
    configure(home, tiny_model)
    (home / "a.mp4").write_bytes(drawer(1))

    async def test() -> None:
        async with serving(home) as daemon:
            await until(has(daemon, done=1))
            away = home.with_name("away")
            home.rename(away)
            await until(lambda: not status_of(daemon).is_there)
            (away / "b.mp4").write_bytes(drawer(2))
            assert (await ask(daemon, "status"))["there"] is False
            assert not home.exists()
            away.rename(home)
            await until(has(daemon, done=2))
            assert (await states(daemon)) == [("a.mp4", "done"), ("b.mp4", "done")]

            # A clip that moves in the middle of its measurement is scored where it went.
            (home / "c.mp4").write_bytes(drawer(3))
            await until(has(daemon, running=1))
            (home / "c.mp4").rename(home / "d.mp4")
            await until(has(daemon, done=3, waiting=0, running=0))
            assert sorted(path.name for path in home.glob("*.mid")) == ["a.mid", "b.mid", "d.mid"]
            assert takes(home / "d.mp4") == ["take 1"]

    run(test)


def test_what_a_killed_process_was_writing_is_cleared_away(home: Path) -> None:
    (home / "a.mp4").write_bytes(b"no video, and not yet complete")
    old, young, mine = (home / name for name in (".a.cmt.0123abcd.part", ".b.4567abcd.part.mid", ".mine.part"))
    old.mkdir()
    (old / "a.mid").write_bytes(b"half")
    young.write_bytes(b"half")
    mine.write_bytes(b"half")
    for path in (old, mine):
        os.utime(path, (1e9, 1e9))
    assert finder.OLD > 60

    async def test() -> None:
        async with serving(home):
            await until(lambda: not old.exists())
            assert young.exists()
            assert mine.exists()

    run(test)


def test_a_daemon_starts_with_a_configuration_that_is_broken(home: Path) -> None:
    (home / "cmt-bridge.toml").write_text("[watch]\nsettle = 'soon'\n")

    async def test() -> None:
        async with serving(home) as daemon:
            await until(lambda: status_of(daemon).problems)
            assert "watch.settle must be a number from 0 to 3,600, not" in (await ask(daemon, "status"))["problems"][0]

    run(test)


def test_an_unwritable_table_costs_nothing(
    home: Path, tiny_model: Path, drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, tiny_model)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(runner, "SPACE_EVERY", 0.1)
    monkeypatch.setattr(finder, "AGAIN", 0.1)

    async def test() -> None:
        async with serving(home) as daemon:
            with closing(sqlite3.connect(state_folder(home) / "jobs.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                (home / "a.mp4").write_bytes(drawer(1))
                await until(lambda: [problem for problem in status_of(daemon).problems if "locked" in problem])
                other.execute("ROLLBACK")
                await until(has(daemon, running=1))
                other.execute("BEGIN IMMEDIATE")
                await until((home / "a.cmt").exists)
                await asyncio.sleep(0.5)
                assert status_of(daemon).jobs["done"] == 0
                other.execute("ROLLBACK")
            await until(has(daemon, done=1))
            assert takes(home / "a.mp4") == ["take 1"]
            assert (home / "a.mid").exists()

    run(test)


def test_a_deleted_state_folder_is_restored(
    home: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmt_bridge.service.daemon.MEND_EVERY", 0.05)
    configure(home, tiny_model, watch='ignore = ["*"]')
    (home / "clip.mp4").touch()

    async def test() -> None:
        async with serving(home) as daemon:
            await until(lambda: instances() and instances()[0].port)
            (before,) = instances()
            token = before.token()
            await ask(daemon, "score", path="clip.mp4")
            await until(has(daemon, failed=1))
            shutil.rmtree(tmp_path / "state")
            with pytest.raises(UsageError, match="is being watched already"), hold(home):
                pass
            await until(lambda: instances() == [before] and before.token() == token)
            await until(lambda: (before.state / "jobs.db").exists() and (before.state / "spool" / "requests").is_dir())
            client = await asyncio.to_thread(Client.for_path, home)
            assert client is not None
            found = await asyncio.to_thread(client.request, "GET", "/v1/jobs")
            assert [job["path"] for job in found["jobs"]] == ["clip.mp4"]

    run(test)
