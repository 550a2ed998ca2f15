from __future__ import annotations

import asyncio
from typing import Any

from cmt_bridge.service.events import LAGGED, MOST_WAITING, Event, Events, Subscription


def _progress(share: float) -> dict[str, Any]:
    return {"event": "progress", "id": 1, "stage": "compose", "share": share}


def _job(number: int) -> dict[str, Any]:
    return {"event": "job", "job": {"id": number}}


async def _take(subscription: Subscription, count: int) -> list[Event]:
    return [await anext(subscription) for _ in range(count)]


async def _rest(subscription: Subscription) -> list[Event]:
    return [event async for event in subscription]


def test_every_subscriber_hears_all_in_order() -> None:
    async def scene() -> None:
        events = Events()
        with events.subscribe() as first, events.subscribe() as second:
            told = [_job(1), _progress(0.5), _job(2)]
            for event in told:
                events.publish(event)
            assert await _take(first, 3) == await _take(second, 3) == told

    asyncio.run(scene())


def test_one_who_waits_is_woken() -> None:
    async def scene() -> None:
        events = Events()
        with events.subscribe() as subscription:
            waiting = asyncio.create_task(_take(subscription, 1))
            await asyncio.sleep(0)
            events.publish(_job(7))
            assert await waiting == [_job(7)]

    asyncio.run(scene())


def test_old_progress_is_lost_before_job_states() -> None:
    async def scene() -> None:
        events = Events()
        with events.subscribe() as subscription:
            events.publish(_job(1))
            events.publish({"event": "position", "tick": 0.0})
            for index in range(2 * MOST_WAITING):
                events.publish(_progress(index))
            events.publish(_job(2))
            got = await _take(subscription, MOST_WAITING)
            assert got[0] == _job(1)
            assert got[1:-1] == [_progress(index) for index in range(2 * MOST_WAITING)][-len(got) + 2 :]
            assert got[-1] == _job(2)
            assert not subscription.lagged

    asyncio.run(scene())


def test_a_subscriber_missing_a_state_is_dropped_and_told() -> None:
    async def scene() -> None:
        events = Events()
        with events.subscribe() as slow, events.subscribe() as quick:
            for number in range(MOST_WAITING):
                events.publish(_job(number))
            events.publish(_progress(0.5))
            assert await _take(quick, MOST_WAITING) == [_job(number) for number in range(MOST_WAITING)]
            events.publish(_job(MOST_WAITING))
            events.publish(_job(MOST_WAITING + 1))
            assert await _rest(slow) == [LAGGED]
            assert await _take(quick, 2) == [_job(MOST_WAITING), _job(MOST_WAITING + 1)]

    asyncio.run(scene())


def test_one_who_left_costs_nothing() -> None:
    async def scene() -> None:
        events = Events()
        with events.subscribe() as subscription:
            pass
        events.publish(_job(1))
        subscription.put(_job(2))
        assert await _take(subscription, 1) == [_job(2)]

    asyncio.run(scene())
