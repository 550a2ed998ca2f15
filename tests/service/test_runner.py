from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.core.signature import FileSignature
from cmt_bridge.service import runner as module
from cmt_bridge.service.jobs import JobTable, Noted
from cmt_bridge.service.lane import Lane
from cmt_bridge.service.reason import reason_file
from cmt_bridge.service.runner import Runner
from tests.service.house import until


class House:
    """A runner with a table, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[dict[str, Any]] = []
        self.gone: list[str] = []
        self.there = True
        self.table = JobTable(folder.with_name("jobs.db"))
        self.runner = Runner(
            folder, self.table, self.told.append, self.gone.append, lambda: self.there, release=60.0
        )  # fmt: skip

    def add(self, name: str, data: bytes = b"no video") -> int:
        """Add a file, as the finder does."""
        path = self.folder / name
        path.write_bytes(data)
        found = path.stat()
        self.table.note_files([Noted(name, FileSignature.of(found), name)])
        job = self.table.add_score(name, name, {})
        assert job is not None
        return job.id

    def state(self, number: int) -> tuple[str, int]:
        job = self.table.get(number)
        assert job is not None
        return job.state, job.tries


@pytest.fixture
def house(tmp_path: Path) -> House:
    folder = tmp_path / "videos"
    folder.mkdir()
    return House(folder)


def run(house: House, test: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        tasks = [asyncio.create_task(house.runner.run(lane)) for lane in module.LANES]
        try:
            await test()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await house.runner.close()
            house.table.close()

    asyncio.run(body())


def test_a_missing_clip_does_not_fail_its_content(house: House) -> None:
    number = house.add("a.mp4")
    (house.folder / "a.mp4").rename(house.folder / "a.txt")

    async def test() -> None:
        await until(lambda: house.state(number) == ("failed", 1))
        assert house.gone == ["a.mp4"]
        assert not house.table.is_taken("a.mp4")
        assert not reason_file(house.folder / "a.mp4").exists()

    run(house, test)


def test_found_videos_wait_while_the_folder_is_away(house: House) -> None:
    house.there = False
    number = house.add("a.mp4")
    (house.folder / "a.mp4").rename(house.folder / "a.txt")

    async def test() -> None:
        await asyncio.sleep(0.2)
        assert house.state(number) == ("waiting", 0)
        assert house.told == []
        house.there = True
        house.runner.wake()
        await until(lambda: house.state(number) == ("failed", 1))

    run(house, test)


def test_a_folder_that_was_emptied_is_looked_at_twice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the mount point of a disk that was taken out a moment ago."""
    monkeypatch.setattr(module, "SPACE_EVERY", 0.5)
    number = house.add("a.mp4")
    (house.folder / "a.mp4").unlink()

    async def test() -> None:
        await until(lambda: bool(house.told) and house.state(number) == ("waiting", 0))
        assert house.gone == []
        await until(lambda: house.state(number) == ("failed", 1))
        assert house.gone == ["a.mp4"]

    run(house, test)


def test_a_job_that_waits_can_be_cancelled(house: House) -> None:
    house.there = False
    number = house.add("a.mp4")

    async def test() -> None:
        assert house.runner.cancel(number).state == "cancelled"
        assert [event["job"]["state"] for event in house.told] == ["cancelled"]

    run(house, test)


@pytest.mark.slow
def test_errors_of_a_changing_file_are_not_reported(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    (changed, broken) = (house.add("changed.mp4"), house.add("broken.mp4"))

    async def test() -> None:
        await until(lambda: house.state(changed)[0] == "running")
        (house.folder / "changed.mp4").write_bytes(b"still no video")
        await until(lambda: house.state(broken) == ("failed", 2))
        assert house.state(changed) == ("failed", 1)
        assert house.gone == ["changed.mp4"]
        assert [path.name for path in house.folder.glob("*.txt")] == ["broken.mp4 was not scored.txt"]
        stages = [event["stage"] for event in house.told if event["event"] == "progress"]
        assert set(stages) == {"measure"}

    run(house, test)


@pytest.mark.slow
def test_a_person_is_told_at_once_what_is_wrong(house: House) -> None:
    (house.folder / "broken.mp4").write_bytes(b"no video")

    async def test() -> None:
        job = house.runner.ask("score", "broken.mp4", {"settings": {"seed": "one"}})
        await until(lambda: house.state(job.id)[0] == "failed")
        failed = house.table.get(job.id)
        assert failed is not None
        assert (failed.code, failed.tries) == (2, 1)
        assert failed.reason.startswith("seed must be a whole number from 0 up, not 'one'")
        assert not reason_file(house.folder / "broken.mp4").exists()

    run(house, test)


class RecordingLane(Lane):
    """A lane that remembers what it asks its worker."""

    messages: list[Mapping[str, Any]]

    async def ask(self, message: Mapping[str, Any], told: Callable[[str, float], None]) -> dict[str, Any]:
        self.messages.append(message)
        return await super().ask(message, told)


def test_the_worker_gets_an_unchanged_files_signature(house: House) -> None:
    lane = RecordingLane("batch", 60.0)
    lane.messages = []
    house.runner.lanes["batch"] = lane
    numbers = [house.add("a.mp4"), house.add("b.mp4")]
    (house.folder / "b.mp4").write_bytes(b"changed since")

    async def test() -> None:
        await until(lambda: len(lane.messages) >= 2 and all(house.state(number)[1] for number in numbers))
        kept, changed = sorted(lane.messages[:2], key=lambda message: str(message["sha256"]))
        assert kept["signature"] == list(astuple(FileSignature.of((house.folder / "a.mp4").stat())))
        assert "signature" not in changed

    run(house, test)
