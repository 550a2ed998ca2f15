"""The sequencer: which message is due when, for whatever motion the music takes.

It knows no device and no clock: it is told the motion, and asked for what is due before a device time. A bar is looked
up when its line is reached, so that a new take of it enters there, and a bar that is not there in time is filled from
those that are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Any, Final

from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.errors import UsageError
from cmt_bridge.player.controller_state import ControllerState
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.timebase import NANOSECONDS, TIME, Timebase

__all__ = [
    "DRUMS",
    "FLUSH",
    "KEY_BITS",
    "LIFT",
    "STOP",
    "Bar",
    "Entry",
    "Event",
    "Note",
    "Program",
    "Sequencer",
    "prepare",
]

Note = tuple[float, float, int, int, int]
"""Tick of the piece, duration in ticks, channel from 0, pitch, velocity; ticks are whole but for edited music."""

Entry = Sequence[Any]
"""A `Note`, which may have the velocity of its end as a sixth; or another message: tick of the piece, and hex."""

Event = tuple[int, bytes]
"""Device time, and a message; `FLUSH` and `STOP` are none, but end all that sounds."""

FLUSH: Final = b""
STOP: Final = b"\x00"
"""A cut after which the music stands."""

DRUMS: Final = 9
"""The channel whose notes are struck and not held: they are not chased."""

KEY_BITS: Final = 7
"""Bits that the pitch takes of a key, which is channel and pitch in one number."""

NOTE_ON, NOTE_OFF, PROGRAM = 0x90, 0x80, 0xC0
CHANNELS = 16
PHRASE = 4  # bars
MOST_SETTINGS: Final = 64  # that are remembered for a jump to come, more than are set ahead
MOST_BARS = 1024  # kept of a piece whose end is not known
CHASED = 32  # bars; a note that began longer ago is not chased
PASSED = 30_000_000  # ns; a note passed by more in a correction of the motion is not struck any more
ALIGNED = 1e-4  # of a unit of device time; a position this near to a whole number of them is meant to be one
HALF = NANOSECONDS // 2

LIFT: Final = 64
"""The velocity with which a key is let go, where none is known."""

NO_KEY: Final = -1
"""In a row that is no note."""

Row = tuple[float, float, int, bytes, int]


@dataclass(frozen=True, slots=True)
class Program:
    """The General MIDI program, from 0, of a channel."""

    channel: int
    program: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar ready to play: rows of (position, position of the end, key, message, velocity of the end), in order.

    `reach` is in bars. `leaves` are messages that set what the bar leaves set.
    """

    number: int
    notes: tuple[Note, ...]
    rows: tuple[Row, ...]
    reach: int
    leaves: tuple[bytes, ...] = ()


def prepare(timebase: Timebase, number: int, entries: Sequence[Entry]) -> Bar:
    """Make a bar of its notes, in whatever order they are; what MIDI cannot say and what other bars hold is left out.

    Of notes of one pitch that begin together the longest stays. Where there are other messages all stays in the order
    in which it is given, as far as it is of one tick.
    """
    first = number * TICKS_PER_BAR
    chosen: dict[tuple[float, int], tuple[Note, int]] = {}
    messages: list[tuple[float, int, bytes]] = []
    order: dict[tuple[float, int], int] = {}
    for place, entry in enumerate(entries):
        if not first <= entry[0] < first + TICKS_PER_BAR:
            continue
        if isinstance(entry[1], str):
            messages.append((entry[0], place, bytes.fromhex(entry[1])))
            continue
        tick, duration, channel, pitch, velocity, *lift = entry
        if 0 <= channel < CHANNELS and 0 <= pitch < 128:
            key = tick, channel << KEY_BITS | pitch
            if key not in chosen or duration > chosen[key][0][1]:
                length = duration if duration > 0 else 1
                chosen[key] = (tick, length, channel, pitch, min(127, max(1, velocity))), lift[0] if lift else LIFT
                order.setdefault(key, place)
    sounding = tuple(chosen[key] for key in sorted(chosen))
    rows: list[tuple[float, int, Row]] = [
        (
            note[0],
            order[note[0], note[2] << KEY_BITS | note[3]],
            (
                timebase.position(note[0]),
                timebase.position(note[0] + note[1]),
                note[2] << KEY_BITS | note[3],
                bytes((NOTE_ON | note[2], note[3], note[4])),
                lift,
            ),
        )
        for note, lift in sounding
    ]
    left = ControllerState()
    for tick, place, message in messages:
        left.update(message)
        position = timebase.position(tick)
        rows.append((tick, place, (position, position, NO_KEY, message, LIFT)))
    if messages:
        rows.sort(key=lambda row: row[:2])
    reach = int(max((note[0] - first + note[1] for note, _ in sounding), default=0)) // TICKS_PER_BAR
    notes = tuple(note for note, _ in sounding)
    return Bar(number, notes, tuple(row for *_, row in rows), reach, tuple(left.messages()))


class Sequencer:
    """Give what is due, each event once, in order of time.

    With `chase`, notes that should be sounding where the music is entered are struck there. What is set there by
    programs, controllers and bends of the bars before is set wherever it is entered; `programs` are sent where no bar
    has said another one by then.
    """

    def __init__(self, timebase: Timebase, *, chase: bool = True, programs: Sequence[Program] = ()) -> None:
        self.timebase = timebase
        self.motion = Motion(0, 0.0)
        """How the music moves at the time that was rendered last; `course_at` is how it moves now."""
        self.bar = 0
        """The bar that was rendered last."""
        self.underruns: list[int] = []
        """The numbers of the bars that were not there in time; the caller empties the list."""
        self.wraps: list[Change] = []
        """The turns of the loop; the caller empties the list. A turn is known before its time where one looks ahead."""
        self.passed = 0
        """How many notes were left out since a correction of the motion went past them."""
        self._chase = chase
        self._programs = tuple(bytes((PROGRAM | each.channel, each.program)) for each in programs)
        self._setting = ControllerState()  # as the messages that were given have left it
        self._settings: deque[tuple[int, ControllerState]] = deque(
            maxlen=MOST_SETTINGS
        )  # when another one was set, and the old
        self._outdated = False  # whether bars that were passed are other ones now
        self._left: tuple[int, tuple[bytes, ...]] | None = None  # what all bars before one leave set, once it was asked
        self._bars: dict[int, Bar] = {}
        self._newest = -1
        self._reach = 0
        self._end: int | None = None
        self._loop: tuple[int, int] | None = None
        self._now = 0
        self._out: list[Event] = []
        self._earlier = self.motion  # before the last turn of the loop, at device time `_turn`
        self._turn: float = -inf
        self._rate = 0  # where the motion is exact: units of device time in a second
        self._zero = 0  # and the device time of position 0, in billionths of a unit
        self._line = 0  # position of the next bar line
        self._rows: tuple[Row, ...] = ()
        self._next = 0
        self._oldest: float = -inf  # position before which notes are not struck any more
        self._ends: dict[int, float] = {}  # position at which each sounding key ends
        self._struck: dict[int, float] = {}  # position at which it was struck
        self._lifts: dict[int, int] = {}  # velocity with which it ends
        self._queue: list[tuple[float, int]] = []  # (position, key), some of them outdated
        self._enter(0, 0)

    # What is to be played

    def feed(self, bar: Bar) -> None:
        """Have a bar from now on, instead of what it was; one that plays goes on as it began.

        Where a note of it that sounds has another end now, it ends there.
        """
        before = self._bars.get(bar.number)
        if bar.leaves != (before.leaves if before is not None else ()):
            self._outdated, self._left = True, None
        self._bars[bar.number] = bar
        self._reach = max(self._reach, bar.reach)
        for position, end, key, *_ in bar.rows:
            if self._struck.get(key) == position and self._ends[key] != end:
                self._ends[key] = end
                heappush(self._queue, (end, key))
        if bar.number > self._newest:
            if self._end is None and len(self._bars) > MOST_BARS:
                for old in [number for number in self._bars if number <= bar.number - MOST_BARS]:
                    del self._bars[old]
            self._newest = bar.number

    def end(self, bars: int | None) -> None:
        """Know that the piece has so many bars; None where that is open, and then only the last 1024 are kept."""
        self._end = bars

    def loop(self, bars: tuple[int, int] | None) -> None:
        """Go back to the first bar where the second is reached, which is not played itself; None goes on.

        Raises `UsageError` where that is no stretch of bars.
        """
        if bars is not None and not 0 <= bars[0] < bars[1]:
            raise UsageError(f"Bars {bars[0]} to {bars[1]} are no loop.", hint="Give a first bar, and a later one.")
        self._loop = bars

    @property
    def length(self) -> int | None:
        """The number of bars, None where that is open."""
        return self._end

    @property
    def looping(self) -> tuple[int, int] | None:
        """The bars that are repeated: the first, and the one after the last."""
        return self._loop

    def bars_after(self, bar: int) -> int:
        """Return how many bars without a gap there are from a bar on."""
        count = 0
        while bar + count in self._bars:
            count += 1
        return count

    # How it moves

    def change(self, change: Change) -> None:
        """Take another motion from its time on.

        What was rendered beyond that time is taken back by a `FLUSH` where the change is a jump, and stays otherwise.
        To begin or to stop is always a jump, and so is a correction by more than a bar.
        """
        motion = change.motion
        time = motion.time
        jump = change.jump or motion.is_rolling != self.motion.is_rolling or self._leaps(motion)
        self._advance(time)
        if jump:
            self._jump(motion)
            return
        if change.flush:
            self._flush(time)
        self._follow(motion)
        position = motion.position_at(self._now)
        self._oldest = position - self._margin(position)

    def skip(self, time: int) -> None:
        """Go on at a device time as if what is due before it had been played, since nobody could play it."""
        motion = self.motion
        if time <= self._now:
            return
        if not motion.is_rolling:
            self._now = time
            return
        position = motion.position_at(time)
        if self._loop is not None and self.bar < self._loop[1]:
            first, last = (self.timebase.position(bar * TICKS_PER_BAR) for bar in self._loop)
            if position >= last:
                position = first + (position - last) % (last - first)
        if self.timebase.domain == TIME:
            position = round(position)
        self._jump(Motion(time, position, motion.speed))
        self.wraps.append(Change(self.motion))

    def render(self, until: int) -> list[Event]:
        """Return what is due before a device time and was not given yet."""
        self._advance(until)
        out = self._out
        if not out:
            return []
        self._out = []
        if out[-1][0] >= until:
            self._out = [event for event in out if event[0] >= until]
            out = [event for event in out if event[0] < until]
        return out

    def motion_at(self, time: int) -> Motion:
        """Return the motion at a device time, which may be before a turn of the loop that was rendered already."""
        return self._earlier if time < self._turn else self.motion

    def tick(self, time: int) -> float:
        """Return the tick at a device time; a position before the first bar is below 0.

        Where the music is to start later it is the one at which it will.
        """
        motion = self.motion_at(time)
        return self.timebase.tick(motion.position_at(max(time, motion.time)))

    @property
    def sounding(self) -> int:
        """How many notes sound at the time that was rendered last."""
        return len(self._ends)

    def _advance(self, until: int) -> None:
        if until <= self._now:
            return
        while self.motion.is_rolling:
            queue, rows = self._queue, self._rows
            while queue and self._ends.get(queue[0][1]) != queue[0][0]:
                heappop(queue)  # the note ended sooner, or its end is another one now
            onset = rows[self._next][0] if self._next < len(rows) else self._line
            release = bool(queue) and queue[0][0] <= onset
            time = self._time_of(queue[0][0] if release else onset)
            if time >= until:
                break
            time = max(time, self._now)
            if release:
                self._note_off(heappop(queue)[1], time)
            elif self._next < len(rows):
                self._note_on(rows[self._next], time)
                self._next += 1
            else:
                self._cross(time)
        self._now = until

    def _time_of(self, position: float) -> int:
        """Return the unit of device time nearest to a position."""
        if not self._rate:
            return round(self.motion.time_of(position))
        whole, rest = divmod(int(position) * self._rate + self._zero, NANOSECONDS)  # by time it is whole
        return whole + (rest > HALF or (rest == HALF and whole & 1))

    def _follow(self, motion: Motion) -> None:
        """Take a motion, and reckon in whole numbers where its speed is that of the device's clock."""
        self.motion = motion
        self._turn = -inf
        self._rate = 0
        if not motion.is_rolling or self.timebase.domain != TIME:
            return
        rate = round(NANOSECONDS / motion.speed)
        if not rate or NANOSECONDS / rate != motion.speed:
            return
        if motion.position == int(motion.position):
            self._rate = rate
            self._zero = motion.time * NANOSECONDS - int(motion.position) * rate
            return
        units = motion.position / motion.speed
        if abs(units - round(units)) < ALIGNED:
            self._rate = rate
            self._zero = (motion.time - round(units)) * NANOSECONDS

    def _jump(self, motion: Motion) -> None:
        time = motion.time
        self._take_back(time)
        undone = [message for said, message in self._out if said >= time]
        halts = not motion.is_rolling and (self.motion.is_rolling or STOP in undone)
        self._out = [event for event in self._out if event[0] < time]
        self._flush(time, STOP if halts else FLUSH)
        self._follow(motion)
        self._now = time
        self._enter(motion.position, time)

    def _leaps(self, motion: Motion) -> bool:
        """Return whether a motion is more than a bar away from where the music is."""
        position = motion.position
        leap = abs(position - self.motion_at(motion.time).position_at(motion.time))
        return leap > abs(self.timebase.position(int(self.timebase.tick(position)) + TICKS_PER_BAR) - position)

    def _margin(self, position: float) -> float:
        """Return by how much a note may be passed in a correction and still be struck."""
        return PASSED if self.timebase.domain == TIME else PASSED * self.timebase.speed(1, position) / NANOSECONDS

    def _note_on(self, row: Row, time: int) -> None:
        position, end, key, message, lift = row
        if key == NO_KEY:
            self._send((message,), time)
            return
        if key in self._ends:
            self._note_off(key, time)
        if position < self._oldest:
            self.passed += 1
            return
        self._ends[key] = end
        self._struck[key] = position
        self._lifts[key] = lift
        heappush(self._queue, (end, key))
        self._out.append((time, message))

    def _note_off(self, key: int, time: int) -> None:
        del self._ends[key], self._struck[key]
        self._out.append((time, bytes((NOTE_OFF | key >> KEY_BITS, key & 0x7F, self._lifts.pop(key)))))

    def _send(self, messages: Iterable[bytes], time: int) -> None:
        """Give messages that are no notes."""
        for message in messages:
            self._setting.update(message)
            self._out.append((time, message))

    def _set(self, number: int, time: int, *, anew: bool) -> None:
        """Set what is set before a time in a bar, and what is usual where nothing is; all `anew`, or what differs.

        What they have not reset but others have is brought back.
        """
        self._outdated = False
        wanted = ControllerState()
        for message in self._left_before(number):
            wanted.update(message)
        here = [row for row in self._rows_of(number) if row[2] == NO_KEY]
        for row in here:
            if self._time_of(row[0]) < time:
                wanted.update(row[3])
        told = [program for program in self._programs if not wanted.sets(program[0] & 0x0F)]
        soon = {row[3][0] for row in here if self._time_of(row[0]) == time}
        resets = self._setting.resets(wanted)
        known = [] if anew else self._setting.messages()
        self._settings.append((time, self._setting))
        self._setting = ControllerState()
        for message in known:
            self._setting.update(message)
        said = [message for message in (*told, *wanted.messages()) if anew or message not in known]
        self._send([*resets, *(message for message in said if message not in told or message[0] not in soon)], time)

    def _take_back(self, time: int) -> None:
        """Know that what was brought back at a time or later may not have been, since a jump takes it back."""
        for said, before in self._settings:
            if said >= time:
                self._setting.merge(before)
        self._settings.clear()

    def _left_before(self, number: int) -> tuple[bytes, ...]:
        """Return messages that set what all bars before one leave set."""
        if self._left is None or self._left[0] != number:
            left = ControllerState()
            for earlier in sorted(bar for bar, each in self._bars.items() if bar < number and each.leaves):
                for message in self._bars[earlier].leaves:
                    left.update(message)
            self._left = number, tuple(left.messages())
        return self._left[1]

    def _flush(self, time: int, how: bytes = FLUSH) -> None:
        self._ends.clear()
        self._struck.clear()
        self._lifts.clear()
        self._queue.clear()
        self._out.append((time, how))

    # Bars

    def _cross(self, time: int) -> None:
        """Cross the bar line that is reached."""
        if self._loop is not None and self.bar + 1 == self._loop[1]:
            self._wrap(time, *(self.timebase.position(bar * TICKS_PER_BAR) for bar in self._loop))
            return
        if self.bar + 1 == self._end:
            for key in tuple(self._ends):
                self._note_off(key, time)
        self._open(self.bar + 1)
        if self._outdated:
            self._set(self.bar, time, anew=False)

    def _wrap(self, time: int, first: int, last: int) -> None:
        """Go on at the first position of the loop where its last is reached; what has no rounding keeps having none."""
        motion = self.motion
        self._flush(time)
        self._earlier, self._turn = motion, time
        self.motion = Motion(motion.time, motion.position - (last - first), motion.speed)
        self._zero += (last - first) * self._rate
        self._oldest = -inf
        self.wraps.append(Change(Motion(time, first, motion.speed)))
        self._enter(first, time)

    def _enter(self, position: float, time: int) -> None:
        """Begin at a position, in the middle of a bar too; what falls on this very unit of time is to come."""
        self._oldest = -inf
        number = int(self.timebase.tick(position) // TICKS_PER_BAR)
        if not self.motion.is_rolling:
            self._open(number)
            return
        if self._time_of(self.timebase.position((number + 1) * TICKS_PER_BAR)) <= time:
            number += 1
        self._open(number)
        self._set(number, time, anew=True)
        rows = self._rows
        while self._next < len(rows) and self._time_of(rows[self._next][0]) < time:
            self._next += 1
        if not self._chase or number == self._end:
            return
        last: dict[int, Row] = {}
        for earlier in range(max(0, number - min(self._reach, CHASED)), number):
            last.update((row[2], row) for row in self._rows_of(earlier))
        last.update((row[2], row) for row in rows[: self._next])
        last.pop(NO_KEY, None)
        for row in sorted(last.values()):
            if self._time_of(row[1]) > time and row[2] >> KEY_BITS != DRUMS:
                self._note_on(row, time)

    def _rows_of(self, number: int) -> tuple[Row, ...]:
        bar = self._bars.get(number)
        return bar.rows if bar is not None and (self._end is None or number < self._end) else ()

    def _open(self, number: int) -> None:
        """Go to the beginning of a bar; it is an underrun where the music needs it and it is not there."""
        self.bar = number
        self._line = self.timebase.position((number + 1) * TICKS_PER_BAR)
        self._next = 0
        self._rows = self._rows_of(number)
        if (
            not self.motion.is_rolling
            or number < 0
            or number in self._bars
            or (self._end is not None and number >= self._end)
        ):
            return
        self.underruns.append(number)
        self._rows = self._instead_of(number)

    def _instead_of(self, number: int) -> tuple[Row, ...]:
        """Return a bar to play where there is none: the latest of the same place in its phrase, else the latest."""
        earlier = [each for each in self._bars if each < number]
        if not earlier:
            return ()
        alike = [each for each in earlier if (number - each) % PHRASE == 0]
        found = self._bars[max(alike or earlier)]
        shift = (number - found.number) * TICKS_PER_BAR
        notes: list[Note] = [(tick + shift, *rest) for tick, *rest in found.notes]  # type: ignore[misc]
        return prepare(self.timebase, number, notes).rows
