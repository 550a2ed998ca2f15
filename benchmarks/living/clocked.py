"""A player follows the MIDI clock of a sender that does what hosts do: other tempos, a ramp, jumps, a loop, a gap.

The sender is a bare process that writes each message at its sample, or as late as one does that sends from a thread.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from bisect import bisect_left, bisect_right
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from living.figures import Result, percentile, table
from living.following import Stretch, judge
from living.music import TRACKS, bars_of, coded
from living.players import player
from tests.jack import recorder, server

__all__ = ["clocked"]

PROBE = Path(__file__).with_name("probe.py")
BARS = 60
USPQ = 500_000
CLOCKS = 6  # in a sixteenth
START, CONTINUE, STOP, CLOCK, POSITION = 0xFA, 0xFB, 0xFC, 0xF8, 0xF2
JITTERS = (0.0, 0.0027)  # s, none and half a period as by rtmidi
BAR_MS = 2000.0
LIMIT_MS = 10.0  # of the error of position, of 99 in 100 notes


@dataclass
class Roll:
    """One way from a start to a stop: the sixteenth that it begins at, and the seconds of its clocks."""

    first: int
    clocks: list[float] = field(default_factory=list)


class Sender:
    """Write down what is to be sent."""

    def __init__(self, jitter: float, seed: int) -> None:
        self.messages: list[tuple[float, bytes]] = []
        self.rolls: list[Roll] = []
        self.now = 0.0
        self._jitter = jitter
        self._dice = random.Random(seed)

    def roll(self, sixteenth: int) -> None:
        """Begin at a sixteenth, after a stop where it rolls."""
        if sixteenth:
            self._send(bytes((POSITION, sixteenth & 0x7F, sixteenth >> 7)), bytes((CONTINUE,)))
        else:
            self._send(bytes((START,)))
        self.rolls.append(Roll(sixteenth))

    def clock(self, seconds: float, bpm: float, last: float = 0.0) -> None:
        """Send clocks for a time at a tempo, or from one to another."""
        end = self.now + seconds
        begin = self.now
        while self.now < end:
            tempo = bpm + ((last or bpm) - bpm) * (self.now - begin) / seconds
            self.rolls[-1].clocks.append(self.now)
            late = self._dice.uniform(0, 2 * self._jitter)
            self.messages.append((self.now + late, bytes((CLOCK,))))
            self.now += 2.5 / tempo

    def stop(self, seconds: float) -> None:
        """Stop, and wait."""
        self._send(bytes((STOP,)))
        self.now += seconds

    def _send(self, *messages: bytes) -> None:
        late = max(0.0, self.messages[-1][0] - self.now) if self.messages else 0.0
        self.messages += [(self.now + late, message) for message in messages]


def _programme(jitter: float, seed: int) -> Sender:
    sender = Sender(jitter, seed)
    sender.roll(0)
    for bpm in (120, 90, 150, 121):
        sender.clock(6, bpm)
    sender.clock(12, 121, 96)
    sender.stop(1)
    sender.roll(16 * 40)
    sender.clock(6, 96)
    sender.stop(1)
    for _ in range(4):  # a loop, as hosts tell it
        sender.roll(16 * 10)
        sender.clock(16 * 15 / 120 - 0.001, 120)
        sender.stop(0)
    dice = random.Random(seed)
    for _ in range(10):
        sender.roll(dice.randrange(16 * (BARS - 8)))
        sender.clock(dice.uniform(1.5, 3), dice.choice((80, 110, 140)))
        sender.stop(dice.choice((0.0, 0.5)))
    return sender


def clocked(folder: Path, seed: int) -> Result:
    """Measure following by clock at changing tempos."""
    result = Result()
    rows = [_one(result, folder, jitter, seed) for jitter in JITTERS]
    head = ("", "stretches", "silent", "wrong", "hanging", "first max", "error p50", "p99", "max", "tail max")
    result.lines = [
        "MIDI clock of changing tempo, in ms; late as by rtmidi is half a period of 256 frames",
        *table(head, rows),
    ]
    return result


def _one(result: Result, folder: Path, jitter: float, seed: int) -> list[object]:
    sender = _programme(jitter, seed)
    file = folder / "clocks.json"
    file.write_text(json.dumps([(at, data.hex()) for at, data in sender.messages]))
    with ExitStack() as stack:
        jack = stack.enter_context(server(folder, realtime=True, patient=True))
        ear = stack.enter_context(recorder(jack, ports=2))
        probe = subprocess.Popen(
            [sys.executable, str(PROBE), "callback", "sender", str(file)],
            env=jack.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(probe.communicate)
        assert probe.stdout is not None
        assert probe.stdin is not None
        probe.stdout.readline()
        ours = stack.enter_context(
            player(
                jack, backend="jack", follow="clock", tracks=TRACKS, tempo_map=[[0, USPQ]], **{"from": ["sender:out"]}
            )
        )
        ear.listen(ours.wait("ready")["ports"]["music"][0], 0)
        ear.listen("sender:out", 1)
        ours.say(do="bars", bars=bars_of(coded(BARS)))
        ours.say(do="end", bars=BARS)
        time.sleep(1)
        probe.stdin.write("go\n")
        probe.stdin.flush()
        time.sleep(sender.now + 3)
        heard = ear.stop()
    rate = jack.rate
    zero = next(each.frame for each in heard if each.port == 1 and each.data[0] == START)
    times = [[zero + round(at * rate) for at in roll.clocks] for roll in sender.rolls]
    those = []
    for index, clocks in enumerate(times):
        end = clocks[-1] + (clocks[-1] - clocks[-2])
        those.append(Stretch(clocks[0], end, True, clocks[0]))
        after = times[index + 1][0] if index + 1 < len(times) else end + rate
        if after > end:
            those.append(Stretch(end, after, False, end))

    def tick(frame: int) -> Fraction:
        index = max(0, bisect_right(times, frame, key=lambda clocks: clocks[0]) - 1)
        clocks = times[index]
        number = min(max(0, bisect_right(clocks, frame) - 1), len(clocks) - 2)
        share = Fraction(frame - clocks[number], clocks[number + 1] - clocks[number])
        return sender.rolls[index].first + (number + share) / CLOCKS

    def frame(place: int, stretch: Stretch) -> float:
        index = bisect_left(times, stretch.start, key=lambda clocks: clocks[0])
        if index >= len(times) or times[index][0] != stretch.start:
            return float("inf")
        number = (place - sender.rolls[index].first) * CLOCKS
        return float(times[index][number]) if 0 <= number < len(times[index]) else float("inf")

    ons = [each for each in heard if each.port == 0 and each.is_on]
    offs = [each for each in heard if each.port == 0 and each.is_off]
    count = judge(ons, offs, those, [], tick, frame, rate)
    name = f"late by 0 to {jitter * 2000:.1f}" if jitter else "on time"
    errors = sorted(count.errors)
    middle = percentile(errors, 0.5) if jitter else 0.0  # the mean lateness is the sender's
    sizes = [abs(error - middle) for error in errors]
    counts = (count.stretches, count.silent, count.wrong, count.hanging)
    result.require(not any(counts[1:]), f"clock {name}: silent, wrong, hanging {counts[1:]}; {count.examples[:5]}")
    result.require(max(count.since_roll, default=0) <= BAR_MS, f"clock {name}: first notes {count.since_roll}")
    result.require(
        percentile(sizes, 0.99) <= LIMIT_MS, f"clock {name}: error of position {percentile(sizes, 0.99):.1f} ms"
    )
    figures = (max(count.since_roll, default=0), percentile(sizes, 0.5), percentile(sizes, 0.99), max(sizes, default=0))
    return [name, *counts, *(round(figure, 2) for figure in (*figures, max(count.tails, default=0)))]
