"""A stream that plays in a test's event loop; its composer and its player are processes of their own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.score import Note, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.live.conductor import Conductor
from cmt_bridge.live.learn import Learned
from cmt_bridge.live.request import StreamRequest
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder
from tests.jack import Heard

PATIENCE = 90.0
Struck = tuple[int, int, int]


class Stream:
    """A conductor, what it said, and the task that runs it."""

    def __init__(self, request: StreamRequest, learned: Learned | None = None) -> None:
        self.said: list[dict[str, Any]] = []
        self.conductor = Conductor(request, self.said.append, learned=learned)
        self.task = asyncio.create_task(self.conductor.run())

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until something is so, and give it; what ends the stream before is raised."""
        async with asyncio.timeout(PATIENCE):
            while not (found := condition()):
                if self.task.done():
                    self.task.result()
                    raise AssertionError(f"it ended: {self.said[-3:]}")
                await asyncio.sleep(0.02)
            return found

    async def hear(self, event: str, after: int = 0, **values: Any) -> dict[str, Any]:
        """Wait for something that is said, from some message on."""

        def found() -> Any:
            fitting = (each for each in self.said[after:] if each["event"] == event)
            return next((each for each in fitting if values.items() <= each.items()), None)

        message: dict[str, Any] = await self.until(found)
        return message

    async def end(self) -> None:
        """Wait for its own end."""
        await asyncio.wait_for(asyncio.shield(self.task), PATIENCE)


@asynccontextmanager
async def playing(request: StreamRequest, learned: Learned | None = None) -> AsyncIterator[Stream]:
    """Play while the body runs."""
    stream = Stream(request, learned)
    try:
        yield stream
    finally:
        stream.conductor.stop()
        await asyncio.wait_for(asyncio.wait([stream.task]), PATIENCE)


def piece(bars: int = 3, pitch: int = 60, bpm: float = 240.0, length: int = 4) -> Score:
    """Give a score with a note on each quarter of each track."""
    tracks = tuple(
        Track(each, 0, tuple(Note(tick, pitch + int(each), length, 90) for tick in range(0, bars * 16, 4)))
        for each in Instrument
    )
    return Score(TempoMap.constant(bpm), tracks, bars, duration=bars * 240 / bpm, title="clip")


def project(folder: Path, *scores: Score) -> TakeFolder:
    """Give the project of a clip with these takes, the last of which is the current one."""
    (folder / "clip.mp4").write_bytes(b"a video")
    drafts = [NewTake(score, TakeInfo("score", "2026-01-02T03:04:05+00:00", "", 0, None)) for score in scores]
    found = TakeFolder.create(folder / "clip.cmt", "clip.mp4", "abc", drafts[:1])
    for each in drafts[1:]:
        found.add([each])
    return found


def written(score: Score) -> Counter[Struck]:
    """Count channel, pitch and velocity of the notes of a score."""
    return Counter((PARTS[instrument].channel, note.pitch, note.velocity) for instrument, note in score.notes())


def struck(heard: Sequence[Heard]) -> Counter[Struck]:
    """Count channel, pitch and velocity of the notes that were heard."""
    return Counter((each.key[0], each.key[1], each.data[2]) for each in heard if each.is_on)
