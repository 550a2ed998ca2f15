from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.service.lane import Lane, LaneError
from tests.service.house import kill, until

REQUEST = {"verb": "score", "request": {"path": "/nowhere/clip.mp4", "settings": {"seed": "no number"}}}
WRONG = "seed must be a whole number from 0 up, not 'no number'"


def run(test: Callable[[Lane], Awaitable[None]], release: float = 60.0) -> None:
    async def body() -> None:
        lane = Lane("batch", release)
        try:
            await test(lane)
        finally:
            await lane.close()

    asyncio.run(body())


async def ask(lane: Lane) -> dict[str, Any]:
    answer = await lane.ask(REQUEST, lambda *_: None)
    error: dict[str, Any] = answer["error"]
    return error


@pytest.mark.slow
def test_a_worker_answers_again_and_again_and_is_let_go() -> None:
    async def test(lane: Lane) -> None:
        assert lane.pid is None
        error = await ask(lane)
        assert (error["code"], error["kind"]) == (2, "other file")
        assert str(CmtBridgeError.from_json(error)).startswith(WRONG)
        first = lane.pid
        assert first is not None
        errors = await asyncio.gather(ask(lane), ask(lane))
        assert errors == [error, error]
        assert lane.pid == first

        # It is stopped by whatever goes wrong on our side, and another one takes its place.
        os.kill(first, signal.SIGSTOP)
        waiting = asyncio.create_task(ask(lane))
        await asyncio.sleep(0.05)
        waiting.cancel()
        os.kill(first, signal.SIGCONT)
        with suppress(asyncio.CancelledError):
            await waiting
        assert lane.pid is None
        assert not Path(f"/proc/{first}").exists()

        lane.release = 0.01
        waiting = asyncio.create_task(ask(lane))
        await until(lambda: lane.pid is not None)
        kill(lane.pid)
        with pytest.raises(LaneError, match=r"was killed by signal 9. The system may have run out of memory\."):
            await waiting
        assert await ask(lane) == error
        worker = lane.pid
        await until(lambda: lane.pid is None and not Path(f"/proc/{worker}").exists())

    run(test)


@pytest.mark.slow
def test_a_worker_that_does_not_end_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmt_bridge.ipc.child.GRACE", 0.2)

    async def test(lane: Lane) -> None:
        await ask(lane)
        worker = lane.pid
        assert worker is not None
        os.kill(worker, signal.SIGSTOP)
        await lane.close()
        assert not Path(f"/proc/{worker}").exists()

    run(test)


def test_nothing_is_started_before_it_is_needed() -> None:
    async def test(lane: Lane) -> None:
        await lane.close()
        assert lane.pid is None

    run(test)
