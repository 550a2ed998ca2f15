"""Players follow a real Ardour that plays, stops and jumps: is the note that is heard the one of Ardour's position?

Ardour moves JACK's transport, whose frame the recorder writes down in each period: that is the truth. In the music each
note says where it belongs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

from living.figures import Result, percentile, table
from living.music import BAR, LONG, SHORT, TRACKS, Tempos, bars_of, coded, long_pitch, place
from living.players import player
from tests.ardour import Hardour, build, hardour
from tests.jack import Heard, RecordedMotion, recorder, server

__all__ = ["CHANGING", "FIRST", "Stretch", "follow", "judge"]

BARS = 168  # beyond bar 170 Ardour's song position, which counts clocks, does not fit its 14 bits
USPQ = 500_000  # that of Ardour's session
OTHER_USPQ = 461_538  # of music that goes by the time of the picture and not by Ardour's beats
TEMPOS = ((0, 120), (64, 90), (128, 150))  # quarters and BPM, where those change
RIGHT = 0.03  # s, within which a note is at Ardour's position; the next one is four times as far
SLIP = 0.05  # s, by which JACK's own frame may slip in an xrun
SHORTEST = 1.0  # s, of a stretch that is judged
REACTION = 0.3  # s, in which the end of a stretch must be noticed

FIRST = {"mtc": 0.05, "jack": 0.05, "jack-bars": 0.05, "clock": 2.0}
"""Seconds from the first that is heard of Ardour's rolling to the first right note; a bar by clock."""

CHANGING = ("mtc", "jack", "jack-bars")
"""What is followed where Ardour changes its tempo; its clock does not tell that."""

SOURCES = {"mtc": "MTC out", "clock": "MIDI Clock out"}


@dataclass(frozen=True)
class Stretch:
    """From one frame time to another JACK's transport rolls or stands; `at` is its frame at the beginning."""

    start: int
    end: int
    rolls: bool
    at: int

    def frame(self, time: int) -> int:
        """Give the transport's frame at a frame time."""
        return self.at + (time - self.start if self.rolls else 0)


@dataclass
class Count:
    """How a player followed; times in ms."""

    stretches: int = 0
    silent: int = 0
    wrong: int = 0
    hanging: int = 0
    unheard: int = 0
    first: list[float] = field(default_factory=list)
    since_roll: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    tails: list[float] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)


def stretches(motions: Sequence[RecordedMotion], end: int, rate: int) -> list[Stretch]:
    """Give the stretches that a transport went through; small slips of its frame belong to the same one."""
    found: list[Stretch] = []
    for motion, after in pairwise([*motions, RecordedMotion(end, False, 0)]):
        last = found[-1] if found else None
        if last and last.rolls and motion.rolls and abs(last.frame(motion.frame) - motion.at) < SLIP * rate:
            found[-1] = Stretch(last.start, after.frame, True, last.at)
        else:
            found.append(Stretch(motion.frame, after.frame, motion.rolls, motion.at))
    return found


def _error(
    note: Heard, stretch: Stretch, *, tick: Callable[[int], Fraction], frame: Callable[[int, Stretch], float], rate: int
) -> float | None:
    """Return by how many seconds a note is off in a stretch; None where it does not belong there."""
    at = stretch.frame(note.frame)
    if note.key[0] == LONG:
        reach = round(RIGHT * rate)
        near = {long_pitch(int(tick(max(0, at + off)))) for off in (-reach, 0, reach)}
        return 0.0 if note.key[1] in near else None
    off = (at - frame(place(note.data[1], note.data[2]), stretch)) / rate
    return off if abs(off) <= RIGHT else None


def judge(
    ons: Sequence[Heard], offs: Sequence[Heard], those: Sequence[Stretch], sync: Sequence[int],
    tick: Callable[[int], Fraction], frame: Callable[[int, Stretch], float], rate: int,
    missed: Sequence[tuple[int, int]] = (),
) -> Count:  # fmt: skip
    """Count how notes fit.

    `tick` gives that of a frame of the transport, `frame` the other way in a stretch; `sync` is when Ardour
    told that it rolls. A note hangs whose end was not heard; where the recorder missed a period after its beginning
    (`missed`, from one frame time to another) nobody knows, and it counts as unheard.
    """
    count = Count()

    error = partial(_error, tick=tick, frame=frame, rate=rate)
    previous: Stretch | None = None
    for stretch in those:
        mine = [note for note in ons if stretch.start <= note.frame < stretch.end]
        judged = stretch.rolls and stretch.end - stretch.start >= SHORTEST * rate
        first: int | None = None
        for note in mine:
            off = error(note, stretch) if stretch.rolls else None
            if off is None and stretch.rolls and first in (None, note.frame) and _is_chased(note, stretch, tick):
                first = note.frame
            elif off is not None:
                if first is None:
                    first = note.frame
                elif note.key[0] == SHORT and note.frame != first:  # what is chased there began before
                    count.errors.append(off * 1000)
            elif (
                previous is not None
                and previous.rolls
                and error(note, previous) is not None
                and note.frame < stretch.start + REACTION * rate
            ):
                count.tails.append((note.frame - stretch.start) / rate * 1000)
            else:
                count.wrong += 1
                said = place(note.data[1], note.data[2]) if note.key[0] == SHORT else note.data.hex()
                count.examples.append(
                    f"{(note.frame - stretch.start) / rate * 1000:.0f} ms into {stretch}: {said} instead of"
                    f" {float(tick(stretch.frame(note.frame))):.2f}"
                )
        if judged:
            count.stretches += 1
            told = next((at for at in sync if at >= stretch.start), stretch.start)
            if first is None:
                count.silent += 1
                count.examples.append(f"nothing in {stretch}")
            else:
                count.since_roll.append((first - stretch.start) / rate * 1000)
                count.first.append(max(0.0, (first - told) / rate * 1000))
                if count.first[-1] > SHORTEST * 1000:
                    count.examples.append(f"first after {count.first[-1]:.0f} ms in {stretch}")
        if not stretch.rolls and stretch.end - stretch.start >= REACTION * rate:
            left = _sounding(ons, offs, stretch.end)
            for key, since in sorted(left.items()):
                if any(first < stretch.end and last > since for first, last in missed):
                    count.unheard += 1
                else:
                    count.hanging += 1
                    count.examples.append(f"{key} of frame {since} still sounds after {stretch}")
        if stretch.end - stretch.start >= REACTION * rate:
            previous = stretch
    return count


def _is_chased(note: Heard, stretch: Stretch, tick: Callable[[int], Fraction]) -> bool:
    """Tell whether a note of the piano should be sounding there."""
    return note.key[0] == SHORT and place(note.data[1], note.data[2]) == int(tick(stretch.frame(note.frame)))


def _sounding(ons: Sequence[Heard], offs: Sequence[Heard], time: int) -> dict[tuple[int, int], int]:
    """Give the keys that sound at a frame time, and since when."""
    last: dict[tuple[int, int], int] = {}
    for note in ons:
        if note.frame < time:
            last[note.key] = note.frame
    for note in offs:
        if note.frame < time and note.frame >= last.get(note.key, note.frame + 1):
            del last[note.key]
    return last


def drive(ardour: Hardour, dice: random.Random, locates: int, seconds: float) -> None:
    """Play, stop, and jump at random, standing and rolling."""
    ardour.locate(0)
    time.sleep(0.5)
    ardour.play()
    time.sleep(6)
    ardour.stop()
    time.sleep(0.6)
    ardour.play()
    time.sleep(3)
    rolling = True
    for _ in range(locates):
        sample = dice.randrange(int(seconds * ardour.rate))
        if rolling and dice.random() < 0.5:
            ardour.stop()
            time.sleep(dice.uniform(0.4, 0.8))
            rolling = False
        ardour.locate(sample, roll=rolling)
        if not rolling:
            time.sleep(dice.uniform(0.2, 0.6))
            ardour.play()
            rolling = True
        time.sleep(dice.uniform(1.6, 3.2))
    ardour.stop()
    time.sleep(2)


def follow(folder: Path, kinds: Sequence[str], locates: int, seed: int, *, changing: bool = False) -> Result:
    """Measure figure 3: players of all kinds follow one Ardour at once."""
    result = Result()
    dice = random.Random(seed)
    session = build(folder / "ardour", tempos=TEMPOS if changing else TEMPOS[:1])
    session.configure(master="JACK", send_mtc="1", send_midi_clock="1", send_mmc="1")
    session.set(external_sync="1")
    beats = Tempos([(quarter * 4, 60_000_000 // bpm) for quarter, bpm in TEMPOS] if changing else [(0, USPQ)])
    times = Tempos([(0, OTHER_USPQ)])
    with ExitStack() as stack:
        jack = stack.enter_context(server(folder, realtime=True))
        ardour = stack.enter_context(hardour(session, jack))
        ear = stack.enter_context(recorder(jack, ports=len(kinds) + len(SOURCES)))
        for number, source in enumerate(SOURCES.values()):
            ear.listen(f"ardour:{source}", len(kinds) + number)
        for number, kind in enumerate(kinds):
            by_beats = kind in ("clock", "jack-bars")
            order = {"tempo_map": (beats if by_beats else times).changes, "tracks": TRACKS, "backend": "jack"}
            if kind in SOURCES:
                order["from"] = [f"ardour:{SOURCES[kind]}"]
            each = stack.enter_context(
                player(jack, name=kind, follow="ardour-clock" if kind == "clock" else kind, **order)
            )
            ear.listen(each.wait("ready")["ports"]["music"][0], number)
            each.say(do="bars", bars=bars_of(coded(BARS)))
            each.say(do="end", bars=BARS)
        time.sleep(2)
        drive(ardour, dice, locates, float(min(t.seconds(BARS * BAR) for t in (beats, times))) - 10)
        heard = ear.stop()
    those = stretches(ear.motions, heard[-1].frame + jack.rate, jack.rate)
    for number, kind in enumerate(kinds):
        tempos = beats if kind in ("clock", "jack-bars") else times
        _report(result, number, kind, kinds, heard, those, tempos, jack.rate, ear.missed)
    rows, result.lines = result.lines, []
    head = (
        "",
        "stretches",
        "silent",
        "wrong",
        "hanging",
        "unheard",
        "first p50",
        "max",
        "from roll",
        "error p50",
        "p99",
        "max",
        "tail max",
    )
    result.lines = [
        f"{locates} locates; first right note since Ardour tells that it rolls, and since it does, and errors in ms;"
        f" the recorder missed {len(ear.missed)} periods",
        *table(head, [row.split("\t") for row in rows]),
    ]
    return result


def _report(
    result: Result,
    number: int,
    kind: str,
    kinds: Sequence[str],
    heard: Sequence[Heard],
    those: Sequence[Stretch],
    tempos: Tempos,
    rate: int,
    missed: Sequence[tuple[int, int]],
) -> None:
    mine = [each for each in heard if each.port == number]
    port = len(kinds) + list(SOURCES).index(kind) if kind in SOURCES else -1
    sync = [each.frame for each in heard if each.port == port and each.data[0] in (0xF1, 0xF8)]
    count = judge(
        [each for each in mine if each.is_on],
        [each for each in mine if each.is_off],
        those,
        sync,
        lambda frame: tempos.tick(Fraction(frame, rate)),
        lambda tick, _: float(tempos.seconds(tick) * rate),
        rate,
        missed,
    )
    errors = [abs(error) for error in count.errors]
    figures = (
        percentile(count.first, 0.5), max(count.first, default=0), max(count.since_roll, default=0),
        percentile(errors, 0.5), percentile(errors, 0.99), max(errors, default=0), max(count.tails, default=0),
    )  # fmt: skip
    counts = (count.stretches, count.silent, count.wrong, count.hanging)
    result.lines.append(
        "\t".join([kind, *map(str, (*counts, count.unheard)), *(f"{figure:.1f}" for figure in figures)])
    )
    result.require(count.stretches > 0, f"{kind}: Ardour did not roll")
    result.require(not any(counts[1:]), f"{kind}: silent, wrong, hanging {counts[1:]}; {count.examples[:5]}")
    limit = FIRST[kind] * 1000
    late = [first for first in count.first if first > limit]
    result.require(
        not late, f"{kind}: {len(late)} first notes later than {limit:.0f} ms: {[round(x) for x in late[:8]]}"
    )
