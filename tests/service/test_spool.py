"""Files of a spool are requests that are carried out once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.errors import InputError, UsageError
from cmt_bridge.service import spool
from cmt_bridge.service.instance import state_folder
from cmt_bridge.service.spool import Spool
from tests.service.desk import MemoryDesk
from tests.service.house import configure, serving, until

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "EVERY", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("requests", "answers", "taken"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    return tmp_path / "spool"


@pytest.fixture
def desk(tmp_path: Path) -> MemoryDesk:
    (tmp_path / "videos").mkdir()
    return MemoryDesk(tmp_path / "videos")


@asynccontextmanager
async def running(desk: Any, folder: Path) -> AsyncIterator[None]:
    task = asyncio.create_task(Spool(desk, folder).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def ask(folder: Path, name: str, asked: object, to: str = "requests") -> None:
    part = folder / f"{name}.json.part"
    part.write_text(asked if isinstance(asked, str) else json.dumps(asked))
    part.replace(folder / to / f"{name}.json")


async def answer(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "answers" / f"{name}.json"
    async with asyncio.timeout(PATIENCE):
        while not path.exists() or (folder / "taken" / path.name).exists():
            await asyncio.sleep(0.01)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await test()

    asyncio.run(body())


def test_what_is_asked_for_is_answered(desk: MemoryDesk, folder: Path) -> None:
    async def test() -> None:
        async with running(desk, folder):
            ask(folder, "a", {"do": "status"})
            ask(folder, "b", {"do": "score", "with": {"path": "clip.mp4"}})
            ask(folder, "c", {"do": "job", "with": {"id": 7}})
            assert await answer(folder, "a") == {"ok": True, "answer": {"folder": str(desk.folder)}}
            scored = await answer(folder, "b")
            assert scored["ok"]
            assert scored["answer"]["request"] == {"path": "clip.mp4", "key": "b"}
            missing = await answer(folder, "c")
            assert (missing["ok"], missing["code"], missing["error"]) == (False, 2, "There is no job 7.")
            assert not any((folder / "requests").iterdir())
            assert not any((folder / "taken").iterdir())

    run(test)


@pytest.mark.parametrize(
    "asked",
    [
        "no JSON",
        "[]",
        "{}",
        '{"do": "events"}',
        '{"do": ["status"]}',
        '{"do": "nothing"}',
        '{"do": "status", "with": []}',
        '{"do": "score", "with": {"path": "../../secret.mp4"}}',
        '{"do": "score", "with": {"path": 3}}',
        '{"do": "score", "with": {"path": "clip.mp4", "unknown": 1}}',
        "[" * 100_000,
        " " * 70_000 + '{"do": "status"}',
        "\ufeff\0",
        '{"do": "status", "do": "stop"}',
        '{"do": "score", "with": {"path": "a.mp4", "path": "b.mp4"}}',
        '{"do": "score", "with": {"path": "a.mp4", "options": {"seed": 1, "seed": 2}}}',
        '{"do": "score", "with": {"path": "a.mp4", "seed": NaN}}',
        '{"do": "score", "with": {"path": "\\ud800.mp4"}}',
        '{"do": "score", "with": {"path": "a.mp4", "options": {"\\udfff": 1}}}',
        '{"do": "\\udcff"}',
        '{"do": "job", "with": {"id": ' + "9" * 5000 + "}}",
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_a_reason(desk: MemoryDesk, folder: Path, asked: str) -> None:
    async def test() -> None:
        async with running(desk, folder):
            ask(folder, "x", asked)
            said = await answer(folder, "x")
            assert (said["ok"], said["code"]) == (False, UsageError.exit_code)
            assert said["error"]
            assert said["hint"]
            assert desk.asked == []

    run(test)


def test_what_goes_wrong_is_told_by_its_door(desk: MemoryDesk, folder: Path) -> None:
    async def test() -> None:
        async with running(desk, folder):
            desk.error = InputError("It is damaged.", hint="Export it again.")
            ask(folder, "a", {"do": "takes", "with": {"path": "clip.mp4"}})
            wanted = {"ok": False, "error": "It is damaged.", "hint": "Export it again.", "code": 3}
            assert await answer(folder, "a") == wanted
            desk.error = RuntimeError("a secret")
            ask(folder, "b", {"do": "status"})
            said = await answer(folder, "b")
            assert (said["code"], "secret" in json.dumps(said)) == (1, False)

    run(test)


def test_an_id_is_good_for_one_request(desk: MemoryDesk, folder: Path) -> None:
    async def test() -> None:
        async with running(desk, folder):
            ask(folder, "a", {"do": "undo", "with": {"path": "clip.mp4"}})
            first = await answer(folder, "a")
            ask(folder, "a", {"do": "undo", "with": {"path": "other.mp4"}})
            await until(lambda: not any((folder / "requests").iterdir()))
            assert await answer(folder, "a") == first
            assert desk.asked == [("undo", {"path": "clip.mp4"})]

    run(test)


def test_a_killed_daemons_request_is_not_done_twice(desk: MemoryDesk, folder: Path) -> None:
    async def test() -> None:
        ask(folder, "look", {"do": "takes", "with": {"path": "clip.mp4"}}, to="taken")
        ask(folder, "job", {"do": "regenerate", "with": {"path": "clip.mp4", "bars": "4-8"}}, to="taken")
        ask(folder, "step", {"do": "undo", "with": {"path": "clip.mp4"}}, to="taken")
        ask(folder, "done", {"do": "undo", "with": {"path": "clip.mp4"}}, to="taken")
        ask(folder, "done", {"ok": True, "answer": {}}, to="answers")
        async with running(desk, folder):
            assert (await answer(folder, "look"))["ok"]
            assert (await answer(folder, "job"))["answer"]["request"]["key"] == "job"
            said = await answer(folder, "step")
            assert (said["ok"], "undo" in said["error"]) == (False, True)
            assert await answer(folder, "done") == {"ok": True, "answer": {}}
            assert sorted(each[0] for each in desk.asked) == ["regenerate", "takes"]

    run(test)


def test_a_step_from_the_current_take_is_not_done_twice(desk: MemoryDesk, folder: Path) -> None:
    async def test() -> None:
        choose = {"path": "clip.mp4", "step": 1}
        ask(folder, "from-current", {"do": "choose", "with": choose}, to="taken")
        ask(folder, "from-two", {"do": "choose", "with": {**choose, "take": 2}}, to="taken")
        ask(folder, "new", {"do": "choose", "with": choose})
        async with running(desk, folder):
            assert not (await answer(folder, "from-current"))["ok"]
            assert (await answer(folder, "from-two"))["ok"]
            assert (await answer(folder, "new"))["ok"]
            asked = [
                ("choose", {"path": "clip.mp4", "take": 2, "step": 1}),
                ("choose", {"path": "clip.mp4", "step": 1}),
            ]
            assert desk.asked == asked

    run(test)


def test_what_is_no_request_stays_where_it_is(desk: MemoryDesk, folder: Path) -> None:
    async def test() -> None:
        (folder / "requests" / "half.json.part").write_text('{"do"')
        (folder / "requests" / "with space.json").write_text("{}")
        (folder / "requests" / "note.txt").write_text("mine")
        async with running(desk, folder):
            ask(folder, "a", {"do": "status"})
            await answer(folder, "a")
            left = {path.name for path in (folder / "requests").iterdir()}
            assert left == {"half.json.part", "with space.json", "note.txt"}

    run(test)


ODD = {
    "fifo": os.mkfifo,
    "folder": lambda path: (path / "sub").mkdir(parents=True),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "link": lambda path: path.symlink_to(path.parents[2] / "secret.json"),
    "socket": lambda path: _bind(path),
}


def _bind(path: Path) -> None:
    """Leave a socket; its whole path may be longer than a socket's name."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("where", ["requests", "taken", "answers"])
@pytest.mark.parametrize("kind", ODD)
def test_non_files_are_skipped_and_reported_once(
    desk: MemoryDesk, folder: Path, caplog: pytest.LogCaptureFixture, kind: str, where: str
) -> None:
    (folder.parent / "secret.json").write_text('{"do": "stop"}')
    ODD[kind](folder / where / "odd.json")

    async def test() -> None:
        async with running(desk, folder):
            for number in range(5):
                ask(folder, f"a{number}", {"do": "status"})
                assert (await answer(folder, f"a{number}"))["ok"]

    run(test)
    assert os.path.lexists(folder / where / "odd.json")
    assert (folder.parent / "secret.json").read_text() == '{"do": "stop"}'
    assert [asked for asked in desk.asked if asked[0] != "status"] == []
    assert [record.message for record in caplog.records] == [
        f"{folder / where / 'odd.json'} is no regular file and is passed over."
    ]


@pytest.mark.parametrize("name", ["requests", "taken", "answers"])
def test_a_missing_folder_is_reported_once_and_used_later(
    desk: MemoryDesk, folder: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    (folder / name).rmdir()
    (folder / name).write_text("mine")

    async def test() -> None:
        async with running(desk, folder):
            await asyncio.sleep(0.2)
            assert (folder / name).read_text() == "mine"
            (folder / name).unlink()
            await until(lambda: (folder / name).is_dir())
            ask(folder, "a", {"do": "status"})
            assert (await answer(folder, "a"))["ok"]

    run(test)
    assert len(caplog.records) == 1
    assert "is no folder" in caplog.records[0].message


def test_a_spool_that_is_deleted_comes_back(desk: MemoryDesk, folder: Path) -> None:
    async def test() -> None:
        async with running(desk, folder):
            shutil.rmtree(folder)
            await until(lambda: (folder / "answers").is_dir() and (folder / "taken").is_dir())
            ask(folder, "a", {"do": "status"})
            assert (await answer(folder, "a"))["ok"]

    run(test)


def test_many_misplaced_files_are_reported_in_few_lines(
    desk: MemoryDesk, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3000):
        (folder / "requests" / f"f{number}.json").symlink_to("nowhere")

    async def test() -> None:
        async with running(desk, folder):
            for number in range(3):
                ask(folder, f"a{number}", {"do": "status"})
                assert (await answer(folder, f"a{number}"))["ok"]

    run(test)
    assert len(caplog.records) == spool.MOST_TOLD + 1


def test_answers_that_nobody_fetched_go_after_a_day(desk: MemoryDesk, folder: Path) -> None:
    async def test() -> None:
        old, new = folder / "answers" / "old.json", folder / "answers" / "new.json"
        for path in (old, new):
            path.write_text("{}")
        os.utime(old, (time.time() - 90_000,) * 2)
        async with running(desk, folder):
            await until(lambda: not old.exists())
            assert new.exists()

    run(test)


@pytest.mark.slow
def test_a_real_daemon_scores_by_file_and_gives_the_music(
    home: Path, tiny_model: Path, drawer: Callable[..., bytes]
) -> None:
    configure(home, tiny_model, watch='ignore = ["*"]')
    (home / "clip.mp4").write_bytes(drawer(1, 3.0))

    async def test() -> None:
        async with serving(home):
            folder = state_folder(home) / "spool"
            await until(lambda: (folder / "requests").is_dir())
            for name in ("first", "again"):
                asked = {"do": "score", "with": {"path": "clip.mp4", "key": "one"}}
                ask(folder, name, asked)
                number = (await answer(folder, name))["answer"]["id"]
                assert number == 1
            polls = 0
            async with asyncio.timeout(120):
                while True:
                    polls += 1
                    ask(folder, f"poll-{polls}", {"do": "job", "with": {"id": number}})
                    job = (await answer(folder, f"poll-{polls}"))["answer"]
                    if job["state"] not in ("waiting", "running"):
                        break
            assert (job["state"], job["takes"]) == ("done", [1])
            ask(folder, "music", {"do": "arrangement", "with": {"path": "clip.mp4"}})
            music = (await answer(folder, "music"))["answer"]
            assert [part["name"] for part in music["parts"]] == ["Drums", "Piano", "Guitar", "Bass", "Strings"]
            assert any(part["notes"] for part in music["parts"])
            assert music["take"] == 1
            assert music["duration"] == pytest.approx(3.0, abs=0.1)

    run(test)
