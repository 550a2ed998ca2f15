"""Follow MIDI timecode: quarter frames while it rolls, full frames where it turns, and MMC beside it.

Eight quarter frames carry one label, that of the moment of the first of them. Nobody waits for all eight: after a full
frame the first quarter frame says by its number where in a pair of frames it is, and by what it carries in which pair
after that full frame. So it is believed, until the eight of them have said it all.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any, Final

from cmt_bridge.player.course import Change, Course
from cmt_bridge.player.ruler import NANOSECONDS
from cmt_bridge.player.timecode import PAIR, RATES, Rate, Timecode, quarter_frame, read_timecode

__all__ = ["TimecodeFollower"]

QUARTER_FRAME: Final = 0xF1
PIECES: Final = 8
QUARTERS: Final = 4  # of a frame
FULL_FRAME: Final = b"\x01\x01"
STOPS: Final = (0x01, 0x09)  # MMC: stop and pause
LOCATE: Final = bytes((0x44, 0x06, 0x01))
SUBFRAMES: Final = 100
PAIRS: Final = 8  # that the first quarter frame can tell from each other
SILENT: Final = 4  # quarter frames that do not come when it has stopped
SLACK: Final = 0.008  # s, by which they may be late
OFF: Final = 0.020  # s, by which the course may be off and be nudged; more is another place
EXACT: Final = 0.75  # of a unit of device time, by which a quarter frame may be off and be none the less on time
GAIN: Final = 0.15  # of an error, by which the course follows it
FASTER: Final = 0.12  # by which it may run faster or slower than it should


class TimecodeFollower:
    """Turn MTC into a course by time; positions are nanoseconds since the first bar.

    `start` is the timecode of the first bar; where it is empty, that is the whole hour before what is heard.
    """

    def __init__(self, rate: int, *, start: str = "") -> None:
        self._rate = rate
        self._start_text = start
        read_timecode(start, RATES[3] if start else RATES[0])  # so that one that is none is refused at once
        self._kind: Rate = RATES[3]
        self._start = 0  # count of the first bar
        self._nibbles: list[int | None] = [None] * PIECES
        self._piece: int | None = None
        self._base: int | None = None  # count of the frame of the first piece
        self._believed: int | None = None  # count that a full frame has told, before the first piece
        self._sure = False  # whether eight have said so
        self._last: int | None = None
        self._course = Course(0, 0.0)
        self._rolling = False
        self._heard = False
        self._jitter = 0.0

    def hear(self, data: bytes, time: int) -> list[Change]:
        """Take in a MIDI message."""
        if len(data) == 2 and data[0] == QUARTER_FRAME and data[1] < 0x80:
            return self._quarter(data[1] >> 4, data[1] & 0x0F, time)
        if len(data) >= 6 and data[0] == 0xF0 and data[1] == 0x7F and data[-1] == 0xF7:
            return self._exclusive(data[3:-1], time)
        return []

    def move(self, rolling: bool, frame: int, bbt: Any, time: int) -> list[Change]:  # noqa: ARG002
        """Pass over JACK's transport."""
        return []

    def look(self, time: int) -> list[Change]:
        """Notice that quarter frames do not come any more."""
        if not self._rolling or self._last is None:
            return []
        if time - self._last <= SILENT * self._interval + SLACK * self._rate:
            return []
        return self._stand(time)

    @property
    def state(self) -> dict[str, Any]:
        """Tell whether it rolls, its rate, the label, and its jitter in ms."""
        label = str(self._kind.label(self._base + (self._piece or 0) // QUARTERS)) if self._base is not None else ""
        return {
            "rolling": self._rolling,
            "lost": False,
            "rate": self._kind.name if self._heard else "",
            "timecode": label,
            "jitter_ms": round(1000 * self._jitter / self._rate, 3),
        }

    @property
    def _interval(self) -> float:
        """Device time of a quarter frame."""
        return float(self._rate / (self._kind.frames * QUARTERS))

    # Quarter frames

    def _quarter(self, piece: int, nibble: int, time: int) -> list[Change]:
        before, self._piece = self._piece, piece
        self._last, late = time, self._last
        gap = round((time - late) / self._interval) if late is not None and self._rolling else 1
        if before is None or not self._rolling:
            self._nibbles = [None] * PIECES
            self._nibbles[piece] = nibble
            return self._first(piece, nibble, time)
        ahead = (piece - before) % PIECES
        if ahead != 1 and ahead != gap % PIECES:  # back, or anywhere: no playing
            changes = self._stand(time) if ahead > PIECES // 2 else []
            self._nibbles = [None] * PIECES
            self._base = self._believed = None
            return changes
        if ahead != 1:
            self._nibbles = [None] * PIECES  # some are missing
        if piece < before and self._base is not None:
            self._base += PAIR
        self._nibbles[piece] = nibble
        if piece == 0 and self._base is not None and not self._sure:
            base = self._guess(self._base, piece, nibble)
            if base is not None and base != self._base:
                self._base = base
                return self._roll(time)
        if piece == PIECES - 1 and None not in self._nibbles:
            label = self._label()
            self._sure = self._sure or label is not None
            if label is not None and label.count != self._base:
                self._base = label.count
        if piece == PIECES - 1:
            self._nibbles = [None] * PIECES
        return self._nudge(time) if self._base is not None else []

    def _first(self, piece: int, nibble: int, time: int) -> list[Change]:
        """Believe the full frame that came before, or the place where it has stopped."""
        base = None
        if self._believed is not None:
            base = self._guess(self._believed, piece, nibble)
        elif not (self._heard or self._start_text or piece or nibble):
            base = 0  # who was never heard begins at the beginning of an hour
        if base is None:
            self._rolling = False
            return self._gather(piece, time)
        self._base, self._sure = base, False
        return self._roll(time)

    def _guess(self, count: int, piece: int, nibble: int) -> int | None:
        """Give the first frame of the pair that a quarter frame belongs to, soon after a frame that was told."""
        first = count // PAIR * PAIR
        for base in range(first, first + PAIR * PAIRS, PAIR):
            late = base * QUARTERS + piece >= count * QUARTERS
            if late and quarter_frame(self._kind.label(base), piece)[1] & 0x0F == nibble:
                return base
        return None

    def _gather(self, piece: int, time: int) -> list[Change]:
        """Wait for eight of them in a row where nothing is known yet."""
        self._rolling = True  # as far as the order of pieces goes
        self._base = None
        del piece, time
        return []

    def _roll(self, time: int) -> list[Change]:
        self._rolling = True
        position = self._position()
        self._course = Course(time, position, NANOSECONDS / self._rate)
        self._believed = None
        return [Change(self._course)]

    def _nudge(self, time: int) -> list[Change]:
        """Follow a quarter frame that comes a little early or late."""
        error = (self._position() - self._course.position_at(time)) / (NANOSECONDS / self._rate)
        self._jitter += 0.1 * (abs(error) - self._jitter)
        if abs(error) < EXACT:
            return []
        if abs(error) > OFF * self._rate:
            return self._roll(time)
        usual = NANOSECONDS / self._rate
        position = self._course.position_at(time) + GAIN * error * usual
        drift = GAIN * GAIN / 4 * error / self._interval
        speed = min(1 + FASTER, max(1 - FASTER, self._course.speed / usual + drift)) * usual
        self._course = Course(time, position, speed)
        return [Change(self._course, jump=False)]

    def _position(self) -> int:
        """Give the position of the last quarter frame."""
        assert self._base is not None
        quarters = (self._base - self._start) * QUARTERS + (self._piece or 0)
        return round(self._kind.ns(Fraction(quarters, QUARTERS)))

    def _label(self) -> Timecode | None:
        """Read the eight; None where they say what is no label."""
        low = [each or 0 for each in self._nibbles[::2]]
        high = [each or 0 for each in self._nibbles[1::2]]
        frame, seconds, minutes, hours = (a | b << 4 for a, b in zip(low, high, strict=True))
        return self._read(hours, minutes, seconds, frame)

    def _read(self, hours: int, minutes: int, seconds: int, frame: int) -> Timecode | None:
        kind = RATES[hours >> 5 & 3]
        label = Timecode(kind, hours & 0x1F, minutes & 0x3F, seconds & 0x3F, frame & 0x1F)
        if label.hours > 23 or label.minutes > 59 or label.seconds > 59 or label.frame >= kind.counted:
            return None
        self._kind, self._heard = kind, True
        if self._start_text:
            self._start = read_timecode(self._start_text, kind).count
        elif not (self._rolling and self._sure):  # a run may go on into the next hour
            self._start = Timecode(kind, label.hours, 0, 0, 0).count
        return label

    # Full frames and MMC

    def _exclusive(self, said: bytes, time: int) -> list[Change]:
        if said[:2] == FULL_FRAME and len(said) == 6:
            return self._turn(said[2:6], 0, time)
        if said[:1] == b"\x06" and len(said) > 1:
            command = said[1:]
            if command[0] in STOPS:
                return self._stand(time)
            if command[:3] == LOCATE and len(command) >= 8:
                return self._turn(command[3:7], command[7], time)
        return []

    def _turn(self, label: bytes, part: int, time: int) -> list[Change]:
        """Go to a label and stand there; it rolls from the next quarter frame on."""
        rolled, base, self._rolling = self._rolling, self._base, False
        found = self._read(*label)
        if found is None:
            self._rolling, self._base = rolled, base
            return []
        exact = found.count + Fraction(min(part, SUBFRAMES - 1), SUBFRAMES)
        self._believed = ceil(exact)
        self._base = self._piece = None
        self._course = Course(time, round(self._kind.ns(exact - self._start)))
        return [Change(self._course)]

    def _stand(self, time: int) -> list[Change]:
        """Stop where the last quarter frame was."""
        rolled, self._rolling = self._rolling, False
        if not rolled:
            return []
        if self._base is None:
            return []
        place = self._position()
        quarters = self._base * QUARTERS + (self._piece or 0)
        self._believed = ceil(Fraction(quarters, QUARTERS))
        self._base = self._piece = None
        self._course = Course(time, place)
        return [Change(self._course)]
