"""A real daemon inside of a test: its loop is the test's, its workers are processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cmt_bridge.service.daemon import Daemon
from cmt_bridge.service.instance import hold

__all__ = ["configure", "kill", "serving", "until"]

PATIENCE = 120.0


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Daemon]:
    """Let a daemon watch a folder while the body runs."""
    with hold(folder) as held:
        daemon = Daemon(held)
        running = asyncio.create_task(daemon.run())
        try:
            await until(lambda: daemon.status is not None or running.done())
            yield daemon
        finally:
            daemon.stop()
            await asyncio.wait_for(running, PATIENCE)


async def until(condition: Callable[[], object], every: float = 0.02) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(every)


def configure(folder: Path, model: Path, more: str = "", watch: str = "") -> None:
    """Write the configuration of a folder: a model, and files that count as complete at once."""
    text = f"[score]\nmodel = {json.dumps(str(model))}\n{more}\n[watch]\nsettle = 0.05\n{watch}\n"
    new = folder / ".cmt-bridge.toml.new"
    new.write_text(text)
    new.replace(folder / "cmt-bridge.toml")


def kill(process: int | None) -> None:
    """End a process as the system does that runs out of memory."""
    assert process is not None
    os.kill(process, 9)
