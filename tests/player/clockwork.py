"""A device without a sound: it asks for one period after the other, and keeps what it gets."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.sequencer import FLUSH, STOP, Entry, Event, Program, Sequencer, prepare
from cmt_bridge.player.timebase import Domain, Timebase

RATE = 48_000
STEADY = TempoMap.constant(120)  # a tick lasts 6000 frames, a bar 96 000
TICK, BAR = 6000, 96_000
BENT = TempoMap.of([(0, 500_000), (19, 431_777), (40, 722_221), (64, 333_333)])


def sequencer(
    bars: Iterable[Sequence[Entry]] = (),
    *,
    tempo_map: TempoMap = STEADY,
    domain: Domain = "time",
    chase: bool = True,
    programs: Sequence[Program] = (),
) -> Sequencer:
    """Give a sequencer that has these bars."""
    found = Sequencer(Timebase(domain, tempo_map), chase=chase, programs=programs)
    for number, notes in enumerate(bars):
        feed(found, number, notes)
    return found


def feed(sequencer: Sequencer, bar: int, notes: Sequence[Entry]) -> None:
    sequencer.feed(prepare(sequencer.timebase, bar, notes))


def roll(sequencer: Sequencer, tick: int = 0, time: int = 0, *, rate: int = RATE) -> None:
    """Let it roll from a tick at its own speed."""
    position = sequencer.timebase.position(tick)
    sequencer.change(Change(Motion(time, position, sequencer.timebase.speed(rate, position))))


def stand(sequencer: Sequencer, time: int) -> None:
    """Let it stand where it is."""
    sequencer.change(Change(Motion(time, sequencer.motion.position_at(time))))


def periods(start: int, until: int, lengths: Sequence[int] = (256,), seed: int = 0) -> Iterator[int]:
    """Give the ends of periods of these lengths, drawn by chance, from a time to another."""
    dice = random.Random(seed)
    while start < until:
        start = min(until, start + dice.choice(lengths))
        yield start


def play(sequencer: Sequencer, start: int, until: int, lengths: Sequence[int] = (256,)) -> list[Event]:
    """Render period by period, and hold each event to its period."""
    found = []
    for end in periods(start, until, lengths):
        events = sequencer.render(end)
        assert all(start <= time < end for time, _ in events), "an event outside of its period"
        found += events
        start = end
    return found


def ons(events: Iterable[Event]) -> list[tuple[int, int, int]]:
    """Give time, channel and pitch of each note that begins."""
    return [(time, data[0] & 15, data[1]) for time, data in events if data and data[0] & 0xF0 == 0x90]


def offs(events: Iterable[Event]) -> list[tuple[int, int, int]]:
    """Give time, channel and pitch of each note that ends."""
    return [(time, data[0] & 15, data[1]) for time, data in events if data and data[0] & 0xF0 == 0x80]


def hold(events: Iterable[Event], sounding: set[tuple[int, int]] | None = None) -> set[tuple[int, int]]:
    """Check that each note begins once and ends once, in order of time, and give what sounds at the end."""
    sounding = set() if sounding is None else sounding
    last = None
    for time, data in events:
        if data in (FLUSH, STOP):
            sounding.clear()
        elif data[0] & 0xF0 == 0x90:
            key = data[0] & 15, data[1]
            assert key not in sounding, f"{key} is struck at {time} while it sounds"
            sounding.add(key)
        elif data[0] & 0xF0 == 0x80:
            key = data[0] & 15, data[1]
            assert key in sounding, f"{key} is ended at {time} and does not sound"
            sounding.remove(key)
        assert last is None or time >= last, f"{data!r} at {time} comes after {last}"
        last = time
    return sounding


def frame(tempo_map: TempoMap, tick: int, rate: int = RATE, anchor: int = 0) -> int:
    """Give the device time of a tick by the score's own reckoning, in fractions."""
    return round(anchor + tempo_map.seconds(tick) * Fraction(rate))
