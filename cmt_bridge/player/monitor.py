"""What arrives at a port, and how evenly: notes, MIDI clock, MTC, and who starts and stops whom.

Times are device times: whole numbers, `rate` to a second. What is kept does not grow with the time that is listened.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import median
from typing import Any, Final

from cmt_bridge.core.timecode import Timecode
from cmt_bridge.player.timecode import PIECES, QUARTERS, RATES, ns

__all__ = ["REALTIME", "VOICE", "ClockWatch", "Monitor", "Spread", "TimecodeWatch", "describe"]

PULSES: Final = 24  # a quarter
PER_SIXTEENTH: Final = 6
WINDOW: Final = 13  # intervals; each is compared with the median of those around it
LONGEST: Final = 1.6  # usual intervals; a longer one is a gap, unless the next is as long
KEPT_TURNS: Final = 12
BIN: Final = 100_000  # of a second, in which deviations are counted: 10 µs
PITCHES: Final = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MACHINE: Final = {1: "MMC stop", 2: "MMC play", 3: "MMC deferred play", 6: "MMC record", 9: "MMC pause"}
REALTIME: Final = {0xF8: "clock", 0xFA: "start", 0xFB: "continue", 0xFC: "stop", 0xFE: "active sensing", 0xFF: "reset"}
VOICE: Final = {
    0x8: "note off",
    0x9: "note on",
    0xA: "pressure",
    0xB: "controller",
    0xC: "program",
    0xD: "pressure",
    0xE: "bend",
}
"""What messages of a channel are called, by the upper half of their status."""
ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123


class Spread:
    """Count deviations, in 10 µs, so that any share of them can be told however many there are."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._total = 0
        self._most = 0.0

    def add(self, seconds: float) -> None:
        """Count a deviation, whichever its sign."""
        self._counts[round(abs(seconds) * BIN)] += 1
        self._total += 1
        self._most = max(self._most, abs(seconds))

    def ms(self, share: float) -> float:
        """Return the ms below which this share of them is."""
        wanted, found = share * self._total, 0
        for value in sorted(self._counts):
            found += self._counts[value]
            if found >= wanted:
                return value * 1000 / BIN
        return 0.0

    def to_json(self) -> dict[str, float] | None:
        if not self._total:
            return None
        return {"p50": self.ms(0.5), "p99": self.ms(0.99), "max": round(self._most * 1000, 3)}


class ClockWatch:
    """Follow a MIDI clock: tempo, position, jitter, which is by how much an interval differs from those around it."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.pulses = 0
        self.gaps = 0
        self.rolling = False
        self.jitter = Spread()
        self._long = False  # whether the last interval was too long
        self._next: int | None = None  # the pulse that comes next; None where nobody told
        self._last: int | None = None
        self._around: deque[int] = deque(maxlen=WINDOW)
        self._recent: deque[int] = deque(maxlen=PULSES)

    def pulse(self, time: int) -> None:
        """Take in a clock."""
        self.pulses += 1
        if self._next is not None and self.rolling:
            self._next += 1
        last, self._last = self._last, time
        if last is None:
            return
        interval = time - last
        long = len(self._around) == WINDOW and interval > LONGEST * median(self._around)
        gap, self._long = self._long, long
        if long and gap:  # no gap, but another tempo
            self._around.clear()
            self._recent.clear()
            self._long = False
        elif long:
            return
        elif gap:
            self.gaps += 1
        self._around.append(interval)
        self._recent.append(interval)
        if len(self._around) == WINDOW:
            self.jitter.add((self._around[WINDOW // 2] - median(self._around)) / self._rate)

    def turn(self, status: int) -> None:
        """Take in Start, Continue or Stop."""
        self.rolling = status != 0xFC
        if status == 0xFA:
            self._next = 0
        self._forget()

    def locate(self, sixteenth: int) -> None:
        """Take in a song position."""
        self._next = sixteenth * PER_SIXTEENTH

    @property
    def tempo(self) -> float | None:
        """The tempo of the last quarter in BPM, None as long as none is known."""
        if not self._recent:
            return None
        return 60 * self._rate * len(self._recent) / (PULSES * max(1, sum(self._recent)))

    @property
    def place(self) -> str | None:
        """Bar, beat and sixteenth, from 1, of the last clock, in 4/4."""
        if self._next is None:
            return None
        sixteenth = max(0, self._next - 1 if self.rolling else self._next) // PER_SIXTEENTH
        return f"{sixteenth // 16 + 1}.{sixteenth // 4 % 4 + 1}.{sixteenth % 4 + 1}"

    def _forget(self) -> None:
        self._last = None
        self._long = False
        self._around.clear()
        self._recent.clear()

    def to_json(self) -> dict[str, Any]:
        tempo = self.tempo
        return {
            "pulses": self.pulses,
            "rolling": self.rolling,
            "tempo": None if tempo is None else round(tempo, 3),
            "place": self.place,
            "gaps": self.gaps,
            "jitter_ms": self.jitter.to_json(),
        }


class TimecodeWatch:
    """Follow MTC: rate, position, jitter of the quarter frames, and drift.

    Drift is by how much more time has passed here than in the timecode since it began to roll; jitter is by how much an
    interval differs from a quarter of a frame.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.pieces = 0
        self.breaks = 0
        self.label: Timecode | None = None
        self.jitter = Spread()
        self._nibbles: list[int] = []
        self._times: list[int] = []
        self._last: tuple[int, int] | None = None  # piece and its time
        self._began: tuple[int, Fraction] | None = None  # time and timecode, in ns, of the first eight of this run
        self._ahead: deque[float] = deque(maxlen=PIECES)

    def piece(self, value: int, time: int) -> None:
        """Take in a quarter frame."""
        self.pieces += 1
        number, nibble = divmod(value, 16)
        last, self._last = self._last, (number, time)
        follows = last is not None and number == (last[0] + 1) % PIECES
        if last is not None and not follows:
            self.breaks += 1
            self._began = None
        if follows and last is not None and self.label is not None:
            usual = 1 / float(QUARTERS * self.label.rate.frames)
            self.jitter.add((time - last[1]) / self._rate - usual)
        if number == 0:
            self._nibbles, self._times = [], []
        if number == len(self._nibbles):
            self._nibbles.append(nibble)
            self._times.append(time)
            if number == PIECES - 1:
                self._whole()
        else:
            self._nibbles = []

    def full(self, data: bytes) -> Timecode:
        """Take in a full frame; what follows it is another run."""
        self.label = _label(data[8], data[7], data[6], data[5])
        self._last, self._began, self._nibbles = None, None, []
        return self.label

    def _whole(self) -> None:
        low, high = self._nibbles[::2], self._nibbles[1::2]
        label = _label(*(a | b << 4 for a, b in zip(low, high, strict=True)))
        time = self._times[0]
        before, self.label = self.label, label
        if self._began is None or before is None or abs(label.count - before.count) > QUARTERS * PIECES:
            self._began = time, ns(label.rate, label.count)
            self._ahead.clear()
        passed = (time - self._began[0]) / self._rate
        self._ahead.append(passed - float(ns(label.rate, label.count) - self._began[1]) / 1e9)

    @property
    def drift(self) -> float | None:
        """The drift in ms, None as long as none is known."""
        return 1000 * sum(self._ahead) / len(self._ahead) if self._ahead else None

    def to_json(self) -> dict[str, Any]:
        drift = self.drift
        return {
            "quarter_frames": self.pieces,
            "rate": None if self.label is None else self.label.rate.name,
            "position": None if self.label is None else str(self.label),
            "breaks": self.breaks,
            "drift_ms": None if drift is None else round(drift, 3),
            "jitter_ms": self.jitter.to_json(),
        }


@dataclass
class Channel:
    """What came on a channel; `sounding` has the time at which each pitch began."""

    notes: int = 0
    program: int | None = None
    controllers: int = 0
    other: int = 0
    doubled: int = 0
    sounding: dict[int, int] = field(default_factory=dict)


class Monitor:
    """Take in messages and tell what they come to."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._first: int | None = None
        self.messages = 0
        self.clock = ClockWatch(rate)
        self.timecode = TimecodeWatch(rate)
        self.channels: dict[int, Channel] = {}
        self.turns: deque[tuple[float, str]] = deque(maxlen=KEPT_TURNS)
        """Seconds since the first message, and what was said of the transport."""
        self.bent = 0
        """How many messages were none of MIDI's."""

    def receive(self, data: bytes, time: int) -> None:
        """Take in a message at its device time."""
        if self._first is None:
            self._first = time
        self.messages += 1
        if not data or data[0] < 0x80 or len(data) < _length(data[0]):
            self.bent += 1
        elif data[0] < 0xF0:
            self._voice(data, time)
        elif data[0] == 0xF8:
            self.clock.pulse(time)
        elif data[0] == 0xF1:
            self.timecode.piece(data[1], time)
        else:
            self._system(data, time)

    def seconds(self, time: int) -> float:
        """Return the seconds since the first message."""
        return 0.0 if self._first is None else (time - self._first) / self._rate

    def hanging(self, time: int, seconds: float = 0.0) -> Iterator[tuple[int, int, float]]:
        """Yield channel from 1, pitch and age in s of each note that has sounded for so long or longer."""
        for number, channel in sorted(self.channels.items()):
            for pitch, began in sorted(channel.sounding.items()):
                age = (time - began) / self._rate
                if age >= seconds:
                    yield number + 1, pitch, age

    def to_json(self, time: int) -> dict[str, Any]:
        """Tell all, at a device time."""
        return {
            "seconds": round(self.seconds(time), 3),
            "messages": self.messages,
            "damaged": self.bent,
            "channels": [
                {
                    "channel": number + 1,
                    "notes": channel.notes,
                    "sounding": sorted(channel.sounding),
                    "doubled": channel.doubled,
                    "program": None if channel.program is None else channel.program + 1,
                    "controllers": channel.controllers,
                    "other": channel.other,
                }
                for number, channel in sorted(self.channels.items())
            ],
            "clock": self.clock.to_json() if self.clock.pulses or self.clock.rolling else None,
            "mtc": self.timecode.to_json() if self.timecode.pieces or self.timecode.label else None,
            "transport": [{"seconds": round(seconds, 4), "said": said} for seconds, said in self.turns],
            "hanging": [
                {"channel": channel, "pitch": pitch, "seconds": round(age, 3)}
                for channel, pitch, age in self.hanging(time)
            ],
        }

    def lines(self, time: int) -> list[str]:
        """Tell it in lines for people."""
        found = [f"{self.messages} messages in {self.seconds(time):.1f} s"]
        if self.bent:
            found[0] += f", {self.bent} of them damaged"
        for number, channel in sorted(self.channels.items()):
            program = "" if channel.program is None else f"  program {channel.program + 1}"
            doubled = f"  {channel.doubled} struck while they sounded" if channel.doubled else ""
            sounding = " ".join(_pitch(pitch) for pitch in sorted(channel.sounding)[:8])
            found.append(f"channel {number + 1:2}  {channel.notes:6} notes{program}{doubled}  {sounding}".rstrip())
        if self.clock.pulses or self.clock.rolling:
            tempo = self.clock.tempo
            found.append(
                f"clock       {'rolls' if self.clock.rolling else 'stands'}  {self.clock.place or '?'}  "
                f"{'? BPM' if tempo is None else f'{tempo:.2f} BPM'}  {_jitter(self.clock.jitter)}"
                + (f"  {self.clock.gaps} gaps" if self.clock.gaps else "")
            )
        if self.timecode.label is not None:
            drift = self.timecode.drift
            found.append(
                f"MTC         {self.timecode.label} at {self.timecode.label.rate.name}  {_jitter(self.timecode.jitter)}"
                + ("" if drift is None else f"  drift {drift:+.2f} ms")
                + (f"  {self.timecode.breaks} breaks" if self.timecode.breaks else "")
            )
        found += [f"{seconds:10.3f}  {said}" for seconds, said in list(self.turns)[-4:]]
        return found

    def _voice(self, data: bytes, time: int) -> None:
        kind, channel = data[0] >> 4, self.channels.setdefault(data[0] & 15, Channel())
        if kind == 0x9 and data[2]:
            channel.notes += 1
            channel.doubled += data[1] in channel.sounding
            channel.sounding[data[1]] = time
        elif kind in (0x8, 0x9):
            channel.sounding.pop(data[1], None)
        elif kind == 0xB:
            channel.controllers += 1
            if data[1] == ALL_SOUND_OFF:
                channel.sounding.clear()
        elif kind == 0xC:
            channel.program = data[1]
        else:
            channel.other += 1

    def _system(self, data: bytes, time: int) -> None:
        if data[0] in (0xFA, 0xFB, 0xFC):
            self.clock.turn(data[0])
        elif data[0] == 0xF2:
            self.clock.locate(data[1] | data[2] << 7)
        elif _is_full(data):
            self.timecode.full(data)
        elif data[0] == 0xFE or (data[0] == 0xF0 and not _is_machine(data)):
            return
        self.turns.append((self.seconds(time), describe(data)))


def describe(data: bytes) -> str:
    """Name a message, and what is in it, for people."""
    if not data or data[0] < 0x80 or len(data) < _length(data[0]):
        return f"damaged {data.hex(' ')}"
    status = data[0]
    if status < 0xF0:
        kind = VOICE[status >> 4]
        if status >> 4 in (0x8, 0x9):
            kind = "note off" if not data[2] else kind
            return f"{kind} {_pitch(data[1])} {data[2]} channel {(status & 15) + 1}"
        return f"{kind} {' '.join(map(str, data[1:]))} channel {(status & 15) + 1}"
    if status == 0xF1:
        return f"quarter frame {data[1] >> 4}: {data[1] & 15}"
    if status == 0xF2:
        return f"song position {data[1] | data[2] << 7}"
    if _is_full(data):
        return f"full frame {_label(data[8], data[7], data[6], data[5])}"
    if _is_machine(data):
        if data[4:7] == b"\x44\x06\x01" and len(data) >= 13:
            return f"MMC locate {_label(data[10], data[9], data[8], data[7])}.{data[11]:02}"
        return MACHINE.get(data[4], f"MMC {data[4:-1].hex(' ')}")
    return REALTIME.get(status, f"system {data.hex(' ')}")


def _length(status: int) -> int:
    if status < 0xF0:
        return 2 if status >> 4 in (0xC, 0xD) else 3
    return {0xF1: 2, 0xF2: 3, 0xF3: 2}.get(status, 1)


def _is_full(data: bytes) -> bool:
    return len(data) == 10 and data[:2] == b"\xf0\x7f" and data[3:5] == b"\x01\x01"


def _is_machine(data: bytes) -> bool:
    return len(data) >= 6 and data[:2] == b"\xf0\x7f" and data[3] == 0x06


def _label(frame: int, second: int, minute: int, last: int) -> Timecode:
    return Timecode(RATES[last >> 5 & 3], last & 31, minute, second, frame)


def _pitch(pitch: int) -> str:
    return f"{PITCHES[pitch % 12]}{pitch // 12 - 1}"


def _jitter(spread: Spread) -> str:
    found = spread.to_json()
    if found is None:
        return "jitter ?"
    return f"jitter {found['p50']:.2f} ms, 99 % {found['p99']:.2f}, most {found['max']:.2f}"
