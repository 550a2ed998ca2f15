from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cmt_bridge.service import finder as module
from cmt_bridge.service.finder import Finder
from cmt_bridge.service.jobs import JobTable
from cmt_bridge.service.reason import reason_file, tell
from tests.service.house import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "videos"
    path.mkdir()
    (path / "cmt-bridge.toml").write_text("[watch]\nsettle = 0.05\n")
    return path


@asynccontextmanager
async def looking(folder: Path) -> AsyncIterator[tuple[Finder, JobTable]]:
    """Look at a folder while the body runs; no job is done."""
    table = JobTable(folder.with_name("jobs.db"))
    finder = Finder(folder, table, lambda: None)
    task = asyncio.create_task(finder.run())
    try:
        yield finder, table
    finally:
        await finder.stop()
        await task
        table.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await test()

    asyncio.run(body())


def paths(table: JobTable) -> list[str]:
    return [job.path for job in reversed(table.list())]


def project(folder: Path, name: str, *contents: bytes) -> None:
    """Make a project folder that says which contents it has takes for."""
    (folder / f"{name}.cmt").mkdir()
    videos = [{"name": f"{name}.mp4", "sha256": hashlib.sha256(data).hexdigest()} for data in contents]
    stated = {"format": "cmt-bridge-project", "format_version": 1, "videos": videos}
    (folder / f"{name}.cmt" / "project.json").write_text(json.dumps(stated))


def test_every_content_becomes_one_job(folder: Path) -> None:
    (folder / "sub").mkdir()
    for name, data in (("a.mp4", b"1"), ("b.mp4", b"2"), ("copy.mp4", b"1"), ("sub/c.mkv", b"3"), ("d.txt", b"4")):
        (folder / name).write_bytes(data)

    async def test() -> None:
        async with looking(folder) as (finder, table):
            await until(lambda: len(paths(table)) == 3)
            assert paths(table) == ["a.mp4", "b.mp4", "sub/c.mkv"]
            assert finder.videos == 4
            (folder / "b.mp4").rename(folder / "moved.mp4")
            await until(lambda: paths(table) == ["a.mp4", "moved.mp4", "sub/c.mkv"])
        async with looking(folder) as (finder, table):
            await until(lambda: finder.videos == 4)
            await asyncio.sleep(0.3)
            assert len(paths(table)) == 3

    run(test)


def test_what_has_a_project_is_scored(folder: Path) -> None:
    project(folder, "a", b"1", b"2")
    project(folder, "broken")
    (folder / "broken.cmt" / "project.json").write_text("{")
    (folder / "empty.cmt").mkdir()
    (folder / "a.mp4").write_bytes(b"2")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "old name.mp4").write_bytes(b"1")
    (folder / "new.mp4").write_bytes(b"3")
    tell(folder / "a.mp4", "It was not complete.")

    async def test() -> None:
        async with looking(folder) as (_, table):
            await until(lambda: paths(table) == ["new.mp4"])
            assert not reason_file(folder / "a.mp4").exists()
            project(folder, "new", b"3")
            await until(lambda: table.counts()["done"] == 1)

    run(test)


def test_unscored_content_is_found_again(folder: Path) -> None:
    (folder / "a.mp4").write_bytes(b"1")

    async def test() -> None:
        async with looking(folder) as (finder, table):
            await until(lambda: paths(table) == ["a.mp4"])
            table.fail(1, "It changed.", changed=True)
            finder.forget("a.mp4")
            await until(lambda: paths(table) == ["a.mp4", "a.mp4"])

    run(test)


def test_reading_a_large_file_stops_when_it_is_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 16)
    (folder / "large.mp4").write_bytes(bytes(1 << 24))

    async def test() -> None:
        async with looking(folder) as (finder, table):
            await until(lambda: finder.videos)
            await asyncio.sleep(0.2)
            begun = asyncio.get_running_loop().time()
            await finder.stop()
            assert asyncio.get_running_loop().time() - begun < 5
            assert paths(table) == []

    run(test)


def test_a_copy_of_a_broken_clip_is_told_of_too(folder: Path) -> None:
    (folder / "a.mp4").write_bytes(b"1")

    async def test() -> None:
        async with looking(folder) as (_, table):
            await until(lambda: len(paths(table)) == 1)
            job = table.claim("batch")
            assert job is not None
            table.fail(job.id, f"{folder / 'a.mp4'} is no video.")
            (folder / "b.mp4").write_bytes(b"1")
            await until(reason_file(folder / "b.mp4").exists)
            assert f"{folder / 'b.mp4'} is no video." in reason_file(folder / "b.mp4").read_text()
            (folder / "b.mp4").rename(folder / "c.mp4")
            await until(reason_file(folder / "c.mp4").exists)
            await until(lambda: not reason_file(folder / "b.mp4").exists())
            assert len(paths(table)) == 1

    run(test)
