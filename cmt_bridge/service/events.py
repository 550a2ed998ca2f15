"""Events: what happens in a daemon, told to whoever listens.

An event is a JSON object whose `event` says which: `job` (a job has another state; `job` is all of it), `progress`
(`id`, `stage`, `share` of a job that runs), `stream` (something happened to the stream; `stream` says what), `position`
(where the stream is and how it fares), `status` (the first of every WebSocket), `lagged` (the last, see below).

Nobody can hold up the daemon. A subscriber that does not keep up loses its oldest `progress` and `position` events
first, which later ones replace anyway. Where only others are left in its full queue it is let go: it gets what had to
wait no more, but `lagged`, and may subscribe again and ask for the jobs as they are. So whoever is not told `lagged`
has missed no state of a job.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["LAGGED", "MOST_WAITING", "Event", "Events", "Subscription"]

Event = Mapping[str, Any]

MOST_WAITING: Final = 256
FLEETING: Final = ("progress", "position")
LAGGED: Final[Event] = {"event": "lagged"}


class Subscription:
    """The events of one subscriber, in their order; `async for` ends after `lagged`."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._wake = asyncio.Event()
        self.lagged = False

    def put(self, event: Event) -> None:
        """Let an event wait, at the cost of an older one where too many do."""
        if self.lagged:
            return
        if len(self._waiting) == MOST_WAITING:
            oldest = next((index for index, each in enumerate(self._waiting) if each["event"] in FLEETING), None)
            if oldest is not None:
                del self._waiting[oldest]
            elif event["event"] not in FLEETING:
                self.lagged = True
                self._waiting.clear()
                event = LAGGED
            else:
                return
        self._waiting.append(event)
        self._wake.set()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self.lagged:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()


class Events:
    """The one place where events come from. All of it is used from the event loop's thread."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def publish(self, event: Event) -> None:
        """Tell an event to all who listen now; never waits."""
        for subscription in self._subscriptions:
            subscription.put(event)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Listen while the body runs.

        >>> with events.subscribe() as subscription:
        ...     async for event in subscription:
        ...         ...
        """
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
