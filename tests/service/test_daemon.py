from __future__ import annotations

import asyncio
import os
import shutil
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
from cmt_bridge.service.instance import hold, instances, state_folder
from cmt_bridge.service.reason import reason_file
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


def states(daemon: Daemon) -> list[tuple[str, str]]:
    return [(job.path, job.state) for job in reversed(daemon._table.list())]


def has(daemon: Daemon, **counts: int) -> Callable[[], bool]:
    return lambda: counts.items() <= daemon._table.counts().items()


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
            assert dict(states(daemon)) == {"a.mp4": "failed", "b.mov": "failed", "c.mp4": "failed", "d.mp4": "done"}
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
            (job,) = await daemon.jobs("waiting", 10)
            assert "controll" in job["reason"]
            assert job["tries"] == 0
            (home / "sub" / "cmt-bridge.toml").write_text("[score]\ncontrol = 1\n[outputs]\ndrop = '../session'\n")
            await until(has(daemon, done=1))
            assert not note.exists()
            assert takes(home / "sub" / "a.mp4") == ["take 1"]
            assert (home / "session" / "a.mid").is_file()
            assert not (home / "sub" / "a.mid").exists()
            assert (await daemon.status())["videos"] == 1

            # The watched folder's own configuration breaks, and is corrected: what it says holds at once.
            good = (home / "cmt-bridge.toml").read_text()
            (home / "cmt-bridge.toml").write_text("[score\n")
            (home / "b.mp4").write_bytes(drawer(3))
            await until(lambda: daemon._finder.problems)
            (problem,) = (await daemon.status())["problems"]
            assert "is not valid TOML" in problem
            await until(reason_file(home / "b.mp4").exists)
            (home / "cmt-bridge.toml").write_text(good.replace("proxies/*", "nothing"))
            await until(has(daemon, done=3))
            assert (await daemon.status())["problems"] == []
            assert takes(home / "b.mp4") == takes(home / "proxies" / "p.mp4") == ["take 1"]

            # What is ignored from now on is not scored, though it waited already.
            kept = daemon._runner._there
            daemon._runner._there = lambda: False
            (home / "proxies" / "q.mp4").write_bytes(drawer(4))
            await until(has(daemon, waiting=1))
            (home / "cmt-bridge.toml").write_text(good)
            await until(lambda: daemon._finder.videos == 2)
            daemon._runner._there = kept
            daemon._runner.wake()
            await until(has(daemon, waiting=0, running=0))
            assert states(daemon)[-1] == ("proxies/q.mp4", "failed")
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
                await until(lambda: daemon._runner.lanes["batch"].pid not in (None, *killed))
                lane = daemon._runner.lanes["batch"]
                assert lane.pid is not None
                killed.add(lane.pid)
                kill(lane.pid)
            await until(has(daemon, failed=1))
            assert "killed by signal 9" in reason_file(home / "a.mp4").read_text()
            (job,) = await daemon.jobs(None, 10)
            assert (job["tries"], "memory" in job["reason"]) == (3, True)

            (home / "b.mp4").write_bytes(drawer(2))
            await until(lambda: daemon._runner.lanes["batch"].pid not in (None, *killed))
            kill(daemon._runner.lanes["batch"].pid)
            await until(has(daemon, done=1))
            job = (await daemon.jobs("done", 10))[0]
            assert (job["path"], job["tries"], job["takes"]) == ("b.mp4", 2, [1])
            assert takes(home / "b.mp4") == ["take 1"]

            # With nothing to do, the process goes, and the model with it.
            worker = daemon._runner.lanes["batch"].pid
            assert worker is not None
            await until(lambda: daemon._runner.lanes["batch"].pid is None)
            await until(lambda: not Path(f"/proc/{worker}").exists())

    run(test)


def test_what_a_person_asks_for_goes_before(home: Path, tiny_model: Path, drawer: Drawer) -> None:
    configure(home, tiny_model, "variations = 3")
    (home / "a.mp4").write_bytes(drawer(1, 3.0))

    async def test() -> None:
        async with serving(home) as daemon:
            await until(lambda: [job for job in daemon._table.list("running") if job.stage == "compose"])
            asked = await daemon.score({"path": "a.mp4", "seed": 7, "variations": 1})
            await until(has(daemon, done=2))
            found, wanted = (daemon._table.get(number) for number in (1, asked["id"]))
            assert found is not None
            assert wanted is not None
            assert (wanted.tries, found.tries, wanted.takes, found.takes) == (1, 1, (1,), (1,))
            assert [path.name for path in home.glob("*.cmt")] == ["a.cmt"]
            assert (await daemon.takes("a.mp4"))["takes"][0]["seed"] == 7
            with pytest.raises(UsageError, match=r"There is no nothing\.mp4"):
                await daemon.score({"path": "nothing.mp4"})
            cancelled = await daemon.score({"path": "a.mp4", "variations": 20})
            await until(lambda: [job for job in daemon._table.list("running") if job.stage == "compose"])
            assert (await daemon.cancel(cancelled["id"]) or {})["state"] == "cancelled"
            await until(lambda: daemon._runner.lanes["live"].pid is None)
            assert takes(home / "a.mp4") == ["take 1"]
            assert await daemon.cancel(99) is None

    run(test)


def test_a_folder_that_goes_away_is_waited_for(home: Path, tiny_model: Path, drawer: Drawer) -> None:
    configure(home, tiny_model)
    (home / "a.mp4").write_bytes(drawer(1))

    async def test() -> None:
        async with serving(home) as daemon:
            await until(has(daemon, done=1))
            away = home.with_name("away")
            home.rename(away)
            await until(lambda: not daemon._finder.is_there)
            (away / "b.mp4").write_bytes(drawer(2))
            assert (await daemon.status())["there"] is False
            assert not home.exists()
            away.rename(home)
            await until(has(daemon, done=2))
            assert states(daemon) == [("a.mp4", "done"), ("b.mp4", "done")]

            # A clip that moves in the middle of its measurement is scored where it went.
            (home / "c.mp4").write_bytes(drawer(3))
            await until(lambda: daemon._table.list("running"))
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
            await until(lambda: daemon._finder.problems)
            status: dict[str, Any] = await daemon.status()
            assert "watch.settle cannot be used" in status["problems"][0]

    run(test)


def test_a_table_that_cannot_be_written_for_a_while_costs_nothing(
    home: Path, tiny_model: Path, drawer: Drawer, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, tiny_model)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(runner, "SPACE_EVERY", 0.1)
    monkeypatch.setattr(finder, "AGAIN", 0.1)

    async def test() -> None:
        async with serving(home) as daemon:
            await until(lambda: daemon._finder.videos == 0 and daemon._finder._watch)
            with closing(sqlite3.connect(state_folder(home) / "jobs.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                (home / "a.mp4").write_bytes(drawer(1))
                await until(lambda: [problem for problem in daemon._finder.problems if "locked" in problem])
                other.execute("ROLLBACK")
                await until(has(daemon, running=1))
                other.execute("BEGIN IMMEDIATE")
                await until((home / "a.cmt").exists)
                await asyncio.sleep(0.5)
                assert daemon._table.counts()["done"] == 0
                other.execute("ROLLBACK")
            await until(has(daemon, done=1))
            assert takes(home / "a.mp4") == ["take 1"]
            assert (home / "a.mid").exists()

    run(test)


def test_a_state_folder_that_is_deleted_comes_back_with_all_that_was_in_it(
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
            daemon._table.add("score", "never", "clip.mp4", "", {})
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
