from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from cmt_bridge.service.scan import Scanner
from cmt_bridge.service.watch import Watch

LONG = 60.0  # never reached: what is waited for in these tests comes sooner
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits are set in another way there")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder


@asynccontextmanager
async def _watching(folder: Path, **options: Any) -> AsyncIterator[Watch]:
    watch = Watch(folder, **{"rescan": LONG, "poll": LONG} | options)
    try:
        assert await watch.changed()
        yield watch
    finally:
        await watch.stop()


async def _woken(watch: Watch, act: Callable[[], object]) -> bool:
    """Tell whether what `act` does wakes a watch that would else sleep on."""
    waiting = asyncio.create_task(watch.changed())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    act()
    try:
        async with asyncio.timeout(10):
            return await waiting
    except TimeoutError:
        return False


async def _quiet(watch: Watch) -> bool:
    """Tell whether nothing wakes a watch for longer than an event takes."""
    begun = monotonic()
    await watch.changed(within=1.5)
    return monotonic() - begun >= 1.4


def _run(test: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(50):
            await test()

    before = set(threading.enumerate())
    asyncio.run(run())
    assert set(threading.enumerate()) == before


def test_what_happens_in_a_folder_wakes(folder: Path) -> None:
    async def test() -> None:
        async with _watching(folder) as watch:
            assert watch.notice == ""
            assert await _woken(watch, lambda: (folder / "a.mp4").write_bytes(b"a"))
            assert await _woken(watch, lambda: (folder / "sub").mkdir())
            assert await _woken(watch, lambda: (folder / "sub" / "b.mp4").write_bytes(b"b"))
            assert await _woken(watch, lambda: (folder / "sub" / "b.mp4").rename(folder / "b.mp4"))
            assert await _woken(watch, lambda: (folder / "b.mp4").unlink())

    _run(test)


def test_what_happens_between_two_waits_is_not_lost(folder: Path) -> None:
    async def test() -> None:
        async with _watching(folder) as watch:
            (folder / "a.mp4").write_bytes(b"a")
            await asyncio.sleep(1)
            assert await watch.changed()
            assert await _quiet(watch)

    _run(test)


def test_looking_does_not_wake(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.mp4").write_bytes(b"a")

    async def test() -> None:
        async with _watching(folder) as watch:
            scanner = Scanner(folder)
            assert scanner.scan(0).waiting == 1
            assert scanner.scan(10).fresh == ("sub/a.mp4",)
            assert await _quiet(watch)

    _run(test)


def test_many_events_are_one_look(folder: Path) -> None:
    async def test() -> None:
        async with _watching(folder) as watch:

            def many() -> None:
                for number in range(500):
                    (folder / f"{number}.mp4").write_bytes(b"a")

            assert await _woken(watch, many)
            assert await _quiet(watch)

    _run(test)


def test_events_without_end_do_not_put_a_look_off(folder: Path) -> None:
    async def test() -> None:
        async with _watching(folder) as watch:
            going_on = True

            async def write() -> None:
                while going_on:
                    (folder / "a.mp4").write_bytes(b"a")
                    await asyncio.sleep(0.02)

            writing = asyncio.create_task(write())
            try:
                for _ in range(2):
                    async with asyncio.timeout(10):
                        assert await watch.changed()
            finally:
                going_on = False
                await writing

    _run(test)


def test_a_look_is_taken_when_it_is_due(folder: Path) -> None:
    async def test() -> None:
        async with _watching(folder, rescan=0.3) as watch:
            begun = monotonic()
            assert await watch.changed()
            assert await watch.changed(within=0.1)
            assert await watch.changed(within=-5)
            assert 0.35 < monotonic() - begun < LONG / 2

    _run(test)


def test_long_looks_are_rare(folder: Path) -> None:
    async def test() -> None:
        async with _watching(folder, polling=True, poll=0.1) as watch:
            assert watch.notice == "Changes are found by looking, as configured."
            begun = monotonic()
            assert await watch.changed(took=0.02)
            assert monotonic() - begun > 0.95
            begun = monotonic()
            assert await watch.changed(within=0.0, took=0.05)
            assert 0.45 < monotonic() - begun < LONG / 2

    _run(test)


def test_a_folder_that_comes_back_is_observed_again(folder: Path, tmp_path: Path) -> None:
    async def test() -> None:
        async with _watching(folder, poll=0.1) as watch:
            assert await _woken(watch, lambda: folder.rename(tmp_path / "away"))
            assert watch.notice == f"{folder} is not there or cannot be read."
            assert await watch.changed()
            folder.mkdir()
            while watch.notice:
                assert await watch.changed()
            assert await _woken(watch, lambda: (folder / "a.mp4").write_bytes(b"a"))

    _run(test)


def test_a_folder_that_is_replaced_is_observed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()

    def replace() -> None:
        folder.rename(tmp_path / "old")
        (tmp_path / "new").rename(folder)

    async def test() -> None:
        async with _watching(folder) as watch:
            assert await _woken(watch, replace)
            assert await _woken(watch, lambda: (folder / "a.mp4").write_bytes(b"a"))

    _run(test)


def test_a_folder_behind_a_link_is_observed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)

    async def test() -> None:
        async with _watching(tmp_path / "link") as watch:
            assert await _woken(watch, lambda: (folder / "a.mp4").write_bytes(b"a"))

    _run(test)


def test_a_watch_ends_while_it_is_waited_for(folder: Path) -> None:
    async def test() -> None:
        watch = Watch(folder)
        await watch.changed()
        waiting = asyncio.create_task(watch.changed())
        await asyncio.sleep(0.1)
        await watch.stop()
        assert not await waiting
        assert not await watch.changed()

    _run(test)


def test_a_watch_may_be_stopped_before_it_began(folder: Path) -> None:
    async def test() -> None:
        watch = Watch(folder)
        await watch.stop()
        assert not await watch.changed()

    _run(test)


LIMITED = """
import asyncio, sys, threading
from pathlib import Path
from cmt_bridge.service.watch import Watch

async def main():
    watch = Watch(Path(sys.argv[1]), poll=0.1)
    await watch.changed()
    sys.stdout.write(watch.notice)
    assert await watch.changed()
    await watch.stop()

asyncio.run(main())
assert threading.active_count() == 1
"""


@linux
@pytest.mark.parametrize(("limit", "number", "kind"), [("instances", 0, "instance"), ("watches", 3, "watch")])
def test_where_watches_run_out_looks_are_taken(folder: Path, limit: str, number: int, kind: str) -> None:
    for name in "abcde":
        (folder / name).mkdir()
    script = f'echo {number} > /proc/sys/user/max_inotify_{limit} && exec "$@"'
    own_limits = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    try:
        able = subprocess.run([*own_limits, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        able = False
    if not able:
        pytest.skip("needs limits of its own")
    command = [*own_limits, sys.executable, "-W", "error", "-c", LIMITED, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert (result.returncode, result.stderr) == (0, "")
    reason = f"inotify {kind} limit reached"
    assert result.stdout == f"{folder} cannot be observed ({reason}), so changes are found by looking."
