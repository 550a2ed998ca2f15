"""When to look at a folder: soon after something happened in it, and now and then all the same."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from cmt_bridge.service.mounts import is_remote

__all__ = ["Watch"]

RESCAN_SECONDS = 30.0  # between two looks where nothing seems to happen; what the system does not tell is found then
POLL_SECONDS = 2.0  # between two looks where the system tells nothing
ROOT_SECONDS = 2.0  # between two glances at whether the folder is the one that is observed
POLL_RATIO = 50  # pause between looks when polling, as a multiple of what one takes: 2 % of a core at most
BUSY_RATIO = 10  # the same where something happens all the time
QUIET_SECONDS = 0.2  # after this long without another event a look is worth while
NOISY_SECONDS = 1.0  # how long events that do not end put a look off


class Watch:
    """Tell when a folder is worth a look.

    Events of the system (inotify, FSEvents, ReadDirectoryChangesW) are hints: they bring a look forward and nothing
    else depends on them. On network file systems, where the system cannot observe the folder and with `polling` there
    are none, and looks are taken every `poll` seconds. `notice` says in a sentence why, and is empty while there are
    events. A folder that vanished is looked for, and observed again when it is back. For one task of one event loop.
    """

    def __init__(
        self, folder: Path, *, polling: bool = False, rescan: float = RESCAN_SECONDS, poll: float = POLL_SECONDS
    ) -> None:
        self._folder = folder
        self._polling = polling
        self._rescan = rescan
        self._poll = poll
        self._root = _Root(folder)
        self._bell = asyncio.Event()
        self._hints: _Hints | None = None
        self._stopped = asyncio.Event()
        self._begun = False

    @property
    def notice(self) -> str:
        """Say why no events come, or nothing while they do."""
        return "Changes are found by looking, as configured." if self._polling else self._root.notice

    async def changed(self, *, within: float | None = None, took: float = 0.0) -> bool:
        """Wait until the folder is worth a look; False when the watch was stopped.

        The first time that is at once. `within` is a number of seconds after which a look is wanted in any case, and
        `took` how many the last one lasted: the longer, the rarer they become.
        """
        called = monotonic()
        earliest = called + BUSY_RATIO * took
        first, self._begun = not self._begun, True
        if await self._is_other_root() or first:
            return not self._stopped.is_set()
        pause = self._rescan if self._root.is_observed else max(self._poll, POLL_RATIO * took)
        due = called + (pause if within is None else min(pause, max(within, 0.0)))
        while not self._stopped.is_set():
            if await _happens(self._bell, min(due, monotonic() + ROOT_SECONDS) - monotonic()):
                await self._calm_down()
                due = monotonic()
            elif await self._is_other_root():
                due = monotonic()
            if due <= monotonic():
                await _happens(self._stopped, earliest - monotonic())
                break
        return not self._stopped.is_set()

    def ring(self) -> None:
        """Want a look, as if something had happened."""
        self._bell.set()

    async def stop(self) -> None:
        """End the observing, and `changed` with it."""
        self._stopped.set()
        self._bell.set()
        await asyncio.to_thread(self._root.close)

    async def _is_other_root(self) -> bool:
        """Observe the folder that is there now; return whether that is another than before."""
        if self._polling or self._stopped.is_set():
            return False
        if self._hints is None:
            self._hints = _Hints(asyncio.get_running_loop(), self._bell)
        return await asyncio.to_thread(self._root.follow, self._hints.hint)

    async def _calm_down(self) -> None:
        """Wait until events stop coming, or have come for long enough."""
        end = monotonic() + NOISY_SECONDS
        while not self._stopped.is_set():
            self._bell.clear()
            if self._hints is not None:
                self._hints.forget()
            if monotonic() >= end or not await _happens(self._bell, QUIET_SECONDS):
                return


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, so many seconds at most; return whether it happened."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        return False
    return True


class _Hints:
    """Bring events from the observer's thread to the event loop, however many there are."""

    def __init__(self, loop: asyncio.AbstractEventLoop, bell: asyncio.Event) -> None:
        self._loop = loop
        self._bell = bell
        self._rung = False

    def hint(self) -> None:
        """Note that something happened. In any thread."""
        if not self._rung:
            self._rung = True
            try:
                self._loop.call_soon_threadsafe(self._bell.set)
            except RuntimeError:  # the loop is closed
                return

    def forget(self) -> None:
        """Wait for the next event. In the loop's thread."""
        self._rung = False


class _Root:
    """The observer of whatever folder is at a path. Its methods may wait for the disk, so no event loop calls them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._identity: tuple[int, int] | None = None
        self._observer: Any = None
        self._closed = False
        self.notice = ""

    @property
    def is_observed(self) -> bool:
        """Return whether events are to be expected."""
        return self._observer is not None

    def follow(self, hint: Callable[[], None]) -> bool:
        """Observe the folder that is at the path now, where it is not already; return whether it is another."""
        with self._lock:
            identity = self._look()
            if self._closed or identity == self._identity:
                return False
            self._identity = identity
            self._end()
            if identity is None:
                self.notice = f"{self._folder} is not there or cannot be read."
            elif is_remote(identity[0]):
                self.notice = f"{self._folder} is on a network file system, so changes are found by looking."
            else:
                self.notice = self._begin(hint)
            return True

    def close(self) -> None:
        """End the observing for good."""
        with self._lock:
            self._closed = True
            self._end()

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self._folder.stat()
        except OSError:
            return None
        return (status.st_dev, status.st_ino) if os.access(self._folder, os.R_OK | os.X_OK) else None

    def _begin(self, hint: Callable[[], None]) -> str:
        """Start an observer; return a sentence that says why that cannot be, or nothing."""
        from watchdog.observers import Observer
        from watchdog.observers.polling import PollingObserver

        if Observer is PollingObserver:
            return "This system tells nothing of changes in folders, so they are found by looking."
        try:
            folder = self._folder.resolve(strict=True)  # of a link itself inotify says nothing
            self._observer = _observe(folder, hint, recursive=True)
            # Where watches ran out below the folder nothing says so, but then the next one is refused, too.
            _end(_observe(folder, hint, recursive=False))
        except OSError as error:
            self._end()
            reason = error.strerror or type(error).__name__
            return f"{self._folder} cannot be observed ({reason}), so changes are found by looking."
        return ""

    def _end(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            _end(observer)


def _observe(folder: Path, hint: Callable[[], None], *, recursive: bool) -> Any:
    """Return an observer that calls `hint` on every event that may make a video another. Raises `OSError`."""
    from watchdog import events
    from watchdog.observers import Observer

    class Handler(events.FileSystemEventHandler):
        def dispatch(self, event: events.FileSystemEvent) -> None:  # noqa: ARG002
            hint()

    kinds: list[type[events.FileSystemEvent]] = [
        events.FileCreatedEvent,
        events.FileMovedEvent,
        events.FileDeletedEvent,
        events.DirCreatedEvent,
        events.DirMovedEvent,
        events.DirDeletedEvent,
        # Of reading nothing must be told, since every look reads. Writing is told when it ends, else as it goes on.
        events.FileClosedEvent if sys.platform == "linux" else events.FileModifiedEvent,
    ]
    observer = Observer()
    try:
        observer.schedule(Handler(), str(folder), recursive=recursive, event_filter=kinds)
        observer.start()
    except BaseException:
        _end(observer)
        raise
    return observer


def _end(observer: Any) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join()
