"""Dense music for minutes while a composer computes beside it: what arrives, and when; so do our clock and MTC."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from living.figures import Result, percentile, spread, table
from living.music import BAR, TRACKS, Note, Tempos, bars_of, dense
from living.players import player
from living.timecode import quarter_frames
from tests.jack import Heard, Server, hanging, recorder, server

__all__ = ["play"]

HERE = Path(__file__).resolve().parent
CHANGES = [(0, 487_813), (640, 521_739), (1280, 500_000), (1920, 461_538), (2560, 533_333)]  # µs per quarter
CLOCKS_PER_TICK = 6
NICENESS = 5  # of a composer, as the daemon's worker has it
FRAME_RATE = (30000, 1001)

Due = tuple[Fraction, bytes]


def due(notes: Sequence[Note], tempos: Tempos) -> list[Due]:
    """Give the seconds and the beginning of each message of a piece; of an end its velocity is open."""
    found = []
    for tick, duration, channel, pitch, velocity in notes:
        found.append((tempos.seconds(tick), bytes((0x90 | channel, pitch, velocity))))
        found.append((tempos.seconds(tick + duration), bytes((0x80 | channel, pitch))))
    return sorted(found)


Clock = Callable[[Heard], float]
"""When a message arrived, in samples of the clock that its sender goes by."""


def compare(heard: Sequence[Heard], run: Run, clock: Clock, slip: int) -> dict[str, Any]:
    """Match what was heard with what was due; errors are in samples of the sender's clock.

    What was due while the recorder was not let listen, give or take `slip` samples, is unheard and not lost.
    """
    rate, wanted = run.jack.rate, run.wanted
    keys: dict[bytes, list[int]] = defaultdict(list)
    for index, (_, data) in enumerate(wanted):
        keys[data[:2]].append(index)
    messages = [each for each in heard if each.is_on or each.is_off]
    start = clock(messages[0]) if messages else 0.0
    reach = rate // 8  # no two messages of one key are so near
    found: dict[int, float] = {}
    order = []
    stray = 0
    for each in messages:
        at = clock(each) - start
        those = keys[bytes(((0x90 if each.is_on else 0x80) | each.key[0], each.key[1]))]
        index = min(those, key=lambda i: abs(wanted[i][0] * rate - at), default=-1)
        if index < 0 or index in found or abs(wanted[index][0] * rate - at) > reach:
            stray += 1
            continue
        found[index] = at
        order.append(wanted[index][0])
    gone = [round(wanted[index][0] * rate) + start for index in range(len(wanted)) if index not in found]
    unheard = sum(any(first - slip <= frame < last + slip for first, last in run.missed) for frame in gone)
    return {
        "unheard": unheard,
        "lost": len(gone) - unheard,
        "stray": stray,
        "out of order": sum(later < earlier for earlier, later in pairwise(order)),
        "hanging": len(hanging(heard)),
        "errors": [at - round(wanted[index][0] * rate) for index, at in found.items()],
    }


def drift(errors: Sequence[float]) -> float:
    """Give by how much the last tenth of the errors is off the first."""
    tenth = max(1, len(errors) // 10)
    return sum(errors[-tenth:]) / tenth - sum(errors[:tenth]) / tenth


@contextmanager
def composing() -> Iterator[None]:
    """Let a composer compute at full speed while the body runs."""
    command = ["nice", "-n", str(NICENESS), sys.executable, str(HERE.parent / "composing.py"), "--bars", "20000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError("the composer ended too early")
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Run:
    """What was heard in a run, where the recorder was not let listen, and what was due."""

    heard: list[Heard]
    missed: list[tuple[int, int]]
    wanted: list[Due]
    jack: Server
    xruns: int
    states: list[dict[str, Any]]


def play(folder: Path, minutes: float, *, loaded: bool, realtime: bool, patient: bool) -> Result:
    """Measure figures 1 and 2: four senders of the same music, at once, into one recorder."""
    result = Result()
    tempos = Tempos(CHANGES)
    bars = next(bar for bar in range(1, 100000) if tempos.seconds(bar * BAR) >= minutes * 60)
    notes = dense(bars)
    wanted = due(notes, tempos)
    file = folder / "messages.json"
    file.write_text(
        json.dumps([(float(at), (data if len(data) == 3 else data + b"\x40").hex()) for at, data in wanted])
    )
    order = {"tracks": TRACKS, "tempo_map": CHANGES, "lead": ["clock", "mtc"], "frame_rate": FRAME_RATE}
    with ExitStack() as stack:
        jack = stack.enter_context(server(folder, realtime=realtime, patient=patient))
        ear = stack.enter_context(recorder(jack, ports=6))
        probes = [stack.enter_context(_probe(jack, way, file)) for way in ("thread", "callback")]
        ours = [
            stack.enter_context(
                player(jack, name=f"ours {way}", backend=way, api="jack" if way == "rtmidi" else "", **order)
            )
            for way in ("rtmidi", "jack")
        ]
        ear.listen("probe-thread:out", 0)
        ear.listen("probe-callback:out", 1)
        for number, each in enumerate(ours):
            ports = each.wait("ready")["ports"]
            ear.listen(ports["music"][0], 2 + number)
            ear.listen(ports["sync out"][0], 4 + number)
        if loaded:
            stack.enter_context(composing())
            time.sleep(10)
        feeds = [each.feed(bars_of(notes)) for each in ours]
        for feed in feeds:
            next(feed, None)
        time.sleep(1)
        before = jack.xruns()
        for probe in probes:
            _go(probe)
        for each in ours:
            each.say(do="play")
        end = time.monotonic() + float(tempos.seconds(bars * BAR)) + 4
        while time.monotonic() < end:
            time.sleep(0.25)
            for feed in feeds:
                next(feed, None)
        xruns = jack.xruns() - before
        states = [each.state for each in ours]
        for each in ours:
            each.close()
        heard = ear.stop()
    names = ("probe: python-rtmidi, thread", "probe: JACK callback", "ours: rtmidi", "ours: JACK callback")
    run = Run(heard, ear.missed, wanted, jack, xruns, states)
    _notes(result, names, run)
    _sync(result, names[2:], run, tempos, bars)
    return result


def _notes(result: Result, names: Sequence[str], run: Run) -> None:
    jack, wanted, xruns = run.jack, run.wanted, run.xruns
    period = jack.period / jack.rate * 1000
    result.lines.append(
        f"{len(wanted)} messages, {float(wanted[-1][0]) / 60:.1f} min; period {jack.period} ({period:.2f} ms),"
        f" {xruns} xruns; |error| in ms: by callback against JACK's time, by rtmidi against the system's clock"
    )
    rows = []
    for port, name in enumerate(names):
        mine = [each for each in run.heard if each.port == port]
        by_frames = "callback" in name
        found = compare(mine, run, _clock(name, jack.rate), 0 if by_frames else jack.rate // 50)
        errors = [error / jack.rate * 1000 for error in found["errors"]]
        if not by_frames:
            middle = percentile(errors, 0.5)
            errors = [error - middle for error in errors]
        counts = [found[count] for count in ("lost", "stray", "out of order", "hanging")]
        rows.append(
            [
                name,
                found["unheard"],
                *counts,
                *(round(value, 3) for value in spread(errors)),
                sum(error != 0 for error in errors),
            ]
        )
        if "ours" in name:
            state = run.states[port - 2]
            result.require(not any(counts), f"{name}: lost, stray, out of order, hanging {counts}")
            result.require(state["underruns"] == 0, f"{name}: {state['underruns']} underruns")
            p99, p999 = spread(errors)[1:3]
            if "callback" in name:
                result.require(p999 <= (period if xruns else 0), f"{name}: p99.9 is {p999:.3f} ms")
            else:
                result.require(p99 <= period / 2 + 0.5, f"{name}: p99 is {p99:.3f} ms")
    head = ("", "unheard", "lost", "stray", "disorder", "hanging", "p50", "p99", "p99.9", "max", "off")
    result.lines += table(head, rows)


def _sync(result: Result, names: Sequence[str], run: Run, tempos: Tempos, bars: int) -> None:
    rate, heard = run.jack.rate, run.heard
    length = tempos.seconds(bars * BAR)
    quarter = Fraction(FRAME_RATE[1], 4 * FRAME_RATE[0])
    clocks = [tempos.seconds(Fraction(index, CLOCKS_PER_TICK)) for index in range(bars * BAR * CLOCKS_PER_TICK)]
    pieces = [index * quarter for index in range(int(length / quarter))]
    rows = []
    for number, name in enumerate(names):
        clock = _clock(name, rate)
        music = next(each for each in heard if each.port == 2 + number and each.is_on)
        sync = [each for each in heard if each.port == 4 + number and each.frame >= music.frame - rate // 4]
        for what, kind, wanted in (("clock", 0xF8, clocks), ("MTC", 0xF1, pieces)):
            times = [float(at) for at in wanted]
            end = times[-1] + (times[-1] - times[-2]) / 2
            told = [(each, (clock(each) - clock(music)) / rate) for each in sync if each.data[0] == kind]
            found, wrong = _pair([(each, at) for each, at in told if at < end], times)
            gone = [music.frame + round(times[index] * rate) for index in range(len(times)) if index not in found]
            unheard = sum(
                any(first - rate // 50 <= frame < last + rate // 50 for first, last in run.missed) for frame in gone
            )
            errors = [found[index] * 1000 for index in sorted(found)]
            middle = percentile(errors, 0.5) if "rtmidi" in name else 0.0
            moved = drift(errors)
            figures = (round(value, 3) for value in [*spread([error - middle for error in errors]), moved])
            rows.append([f"{name}, {what}", len(found), unheard, len(gone) - unheard, wrong, *figures])
            lost, xruns = len(gone) - unheard, run.xruns  # each of which may take a period along, and shift another
            result.require(lost <= xruns and wrong <= 2 * xruns, f"{name}, {what}: {lost} lost, {wrong} wrong")
            result.require(abs(moved) <= 1.0, f"{name}, {what}: {moved:.2f} ms of drift")
    head = ("", "messages", "unheard", "lost", "wrong", "p50", "p99", "p99.9", "max", "drift")
    result.lines += ["", *table(head, rows)]


def _pair(told: Sequence[tuple[Heard, float]], times: Sequence[float]) -> tuple[dict[int, float], int]:
    """Give by how many seconds each clock or quarter frame is off, and how many are none of those that are due."""
    found: dict[int, float] = {}
    wrong = 0
    for each, at in told:
        index = _nearest(times, at)
        if each.data[0] == 0xF1:  # it says itself which of eight it is
            index += (each.data[1] // 16 - index + 4) % 8 - 4
        elif index and index in found and index - 1 not in found:  # the one before was late by more than half a step
            found[index - 1] = found.pop(index) + times[index] - times[index - 1]
        if index in found or not 0 <= index < len(times) or (each.data[0] == 0xF1 and each.data != _piece(index)):
            wrong += 1
        else:
            found[index] = at - times[index]
    return found, wrong


def _nearest(times: Sequence[float], at: float) -> int:
    index = bisect_left(times, at)
    return min((each for each in (index - 1, index) if 0 <= each < len(times)), key=lambda each: abs(times[each] - at))


def _clock(name: str, rate: int) -> Clock:
    if "callback" in name:
        return lambda each: each.frame
    return lambda each: each.time * rate / 1e9


def _piece(index: int) -> bytes:
    return quarter_frames(2 * (index // 8), FRAME_RATE)[index % 8]


@contextmanager
def _probe(jack: Server, way: str, file: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "probe.py"), way, f"probe-{way}", str(file)],
        env=jack.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.communicate("")


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
