"""A real Ardour plays, stops and jumps, and is followed by its timecode, its clock and JACK's transport at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.ardour import Hardour, build, hardour
from tests.jack import Heard, RecordedMotion, Recorder, Server, hanging, recorder, server
from tests.player.stage import Stage, stage

TRIES = 3  # JACK now and then ends when Ardour starts
RATE = 48_000
BARS = 100
TICKS_A_SECOND = 8  # at 120 BPM
KEYS = 60  # pitches after which they begin anew: 7.5 s
SETTLED = {"mtc": 0.15, "jack": 0.02, "jack-bars": 0.05, "ardour-clock": 0.75}
"""Seconds from Ardour's rolling after which each note is right. Ardour's clock begins with the next quarter only."""
NEAR = 0.030  # s, of a note to where Ardour is; the next one is four times as far
TAIL = 0.3  # s, in which the end of a stretch is noticed
SLIP = 0.1  # s, by which JACK's frame slips on a busy machine
FOLLOWED = {"mtc": ["ardour:MTC out"], "ardour-clock": ["ardour:MIDI Clock out"]}


def music() -> list[list[object]]:
    """Give a bass note on each sixteenth that says where it is."""
    ticks = range(BARS * 16)
    return [
        [bar, [[tick, 1, 2, 30 + tick % KEYS, 90] for tick in ticks[bar * 16 : bar * 16 + 16]]] for bar in range(BARS)
    ]


@dataclass(frozen=True)
class Stretch:
    """From one frame time to another JACK's transport rolls; `motions` are those from slip to slip of its frame."""

    start: int
    end: int
    motions: tuple[RecordedMotion, ...]

    def tick(self, frame: int) -> float | None:
        """Give where Ardour is at a frame time; None where it has just slipped there."""
        motion = max((each for each in self.motions if each.frame <= frame), key=lambda each: each.frame)
        if motion is not self.motions[0] and frame < motion.frame + TAIL * RATE:
            return None
        return (motion.at + frame - motion.frame) / RATE * TICKS_A_SECOND


def stretches(motions: Sequence[RecordedMotion]) -> list[Stretch]:
    """Give the stretches in which JACK's transport rolled; on a busy machine its frame slips in the middle of one."""
    found: list[Stretch] = []
    for motion, after in pairwise(motions):
        if not motion.rolls:
            continue
        last = found[-1] if found else None
        if last and last.end == motion.frame and last.motions[-1].rolls:
            before = last.motions[-1]
            if abs(motion.at - before.at - (motion.frame - before.frame)) < SLIP * RATE:
                found[-1] = Stretch(last.start, after.frame, (*last.motions, motion))
                continue
        found.append(Stretch(motion.frame, after.frame, (motion,)))
    return found


def wrong(ons: Sequence[Heard], those: Sequence[Stretch], settled: float) -> list[str]:
    """Say which notes are not where Ardour is, and which stretches are silent."""
    found = []
    for each in those:
        if each.end - each.start < RATE:
            continue
        mine = [note for note in ons if each.start + settled * RATE <= note.frame < each.end]
        if len(mine) < (each.end - each.start) / RATE - settled:
            found.append(f"{len(mine)} notes in {each}")
        for note in mine:
            tick = each.tick(note.frame)
            off = 0.0 if tick is None else (tick - (note.data[1] - 30) + KEYS / 2) % KEYS - KEYS / 2
            if abs(off) > NEAR * TICKS_A_SECOND:
                found.append(f"{off:.2f} sixteenths off, {(note.frame - each.start) / RATE:.3f} s into {each}")
    strange = [note for note in ons if not any(s.start <= note.frame < s.end + TAIL * RATE for s in those)]
    return [*found, *(f"a note at {note.frame}, where nothing rolls" for note in strange)]


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[tuple[Server, Hardour]]:
    made = build(tmp_path / "ardour")
    made.configure(master="JACK", send_mtc="1", send_midi_clock="1", send_mmc="1")
    made.set(external_sync="1")
    with ExitStack() as stack:
        for attempt in range(TRIES):
            try:
                with ExitStack() as trial:
                    jack = trial.enter_context(server(tmp_path, realtime=True))
                    ardour = trial.enter_context(hardour(made, jack))
                    stack.push(trial.pop_all())
                break
            except AssertionError:
                if attempt == TRIES - 1:
                    raise
        yield jack, ardour


def perform(ardour: Hardour) -> None:
    """Play, stop, play on, jump while it stands and while it rolls."""
    ardour.play()
    time.sleep(2.5)
    ardour.stop()
    time.sleep(0.7)
    ardour.play()
    time.sleep(2)
    ardour.stop()
    time.sleep(0.7)
    for seconds in (61.0625, 3.3, 120):
        ardour.locate(round(seconds * RATE))
        time.sleep(0.6)
        ardour.play()
        time.sleep(2.2)
        ardour.stop()
        time.sleep(0.7)
    ardour.play()
    time.sleep(1)
    for seconds in (20, 75.5, 10):
        ardour.locate(round(seconds * RATE), roll=True)
        time.sleep(2.5)
    ardour.stop()
    time.sleep(1)


def faults(jack: Server, ardour: Hardour) -> tuple[list[str], int]:
    """Let players follow a performance; give what was wrong, and how often JACK was late."""
    with ExitStack() as stack:
        ear: Recorder = stack.enter_context(recorder(jack, ports=len(SETTLED)))
        for number, kind in enumerate(SETTLED):
            player: Stage = stack.enter_context(stage(jack, name=kind, follow=kind, **{"from": FOLLOWED.get(kind, [])}))
            ear.listen(player.wait_for("ready")["ports"]["music"][0], number)
            player.say(do="bars", bars=music())
            player.say(do="end", bars=BARS)
        time.sleep(2)
        perform(ardour)
        heard = ear.stop()
    those = stretches(ear.motions)
    found = [] if len([each for each in those if each.end - each.start >= RATE]) >= 8 else [f"too few: {those}"]
    for number, (kind, settled) in enumerate(SETTLED.items()):
        mine = [each for each in heard if each.port == number]
        found += [f"{kind}: {each}" for each in wrong([each for each in mine if each.is_on], those, settled)]
        found += [f"{kind}: {key} hangs" for key in hanging(mine)]
    return found, ear.xruns + len(ear.missed)


@pytest.mark.slow
@pytest.mark.realtime
def test_ardour_is_followed_by_all_that_it_sends(theatre: tuple[Server, Hardour]) -> None:
    for _ in range(TRIES):
        found, late = faults(*theatre)
        if not found or not late:  # where JACK is late its own frame slips, and nobody can tell what is right
            break
    assert not found
