"""Follow MIDI timecode: quarter frames while it rolls, full frames where it turns, and MMC beside it.

Eight quarter frames carry one label, that of the moment of the first of them. Nobody waits for all eight: after a full
frame the first quarter frame says by its number where in a pair of frames it is, and by what it carries in which pair
after that full frame. So it is believed, until the eight of them have said it all.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any, Final

from cmt_bridge.core.timecode import Rate, Timecode, counting_of, read_label
from cmt_bridge.player.follow.pace import Pace
from cmt_bridge.player.motion import Change, Motion
from cmt_bridge.player.order import NOTHING, Picture
from cmt_bridge.player.timebase import NANOSECONDS
from cmt_bridge.player.timecode import PAIR, PIECES, QUARTERS, RATES, code_of, quarter_frame, rate_of

__all__ = ["TimecodeFollower"]

QUARTER_FRAME: Final = 0xF1
FULL_FRAME: Final = b"\x01\x01"
STOPS: Final = (0x01, 0x09)  # MMC: stop and pause
LOCATE: Final = bytes((0x44, 0x06, 0x01))
SUBFRAMES: Final = 100
PAIRS: Final = 8  # that the first quarter frame can tell from each other
SOON: Final = 4  # frames after the first bar, with which some begin that have begun there
SILENT: Final = 4  # quarter frames that do not come when it has stopped
OVERTAKING: Final = 2  # pieces ahead of the last one is one that came before its turn
SLACK: Final = 0.016  # s, by which they may be late
ELSEWHERE: Final = 0.100  # s, from which on a label is another place, and not the same a little late
EXACT: Final = 0.75  # of a unit of device time, by which a quarter frame may be off and be none the less on time
FASTER: Final = 0.12  # by which it may run faster or slower than it should
SLOWED: Final = Fraction(1001, 1000)  # in 23.976 and 29.97 frames a second without drop, which MTC calls 24 and 30
TELLING: Final = 0.0003  # by which a speed may be off and be told from that
SETTLED: Final = 96  # quarter frames after which the speed is measured
STRAIGHT: Final = 48  # of them that the line has to go through meanwhile
LAST_MINUTE: Final = 59
MINUTE: Final = 60  # seconds


class TimecodeFollower:
    """Turn MTC into a motion by time; positions are nanoseconds since the first bar.

    `start` is the timecode of the first bar; where it is empty, that is the one that the picture gives itself if what
    is heard lies in the picture, or in the minute before; else the whole hour before what is heard, or the next one
    where it begins in the last minute before that. MTC does not tell 23.976 from 24 frames a second nor 29.97 without
    drop from 30, but how fast its quarter frames come does.
    """

    def __init__(self, rate: int, *, start: str = "", picture: Picture = NOTHING) -> None:
        self._rate = rate
        self._start_text, self._length = start, picture.duration
        self._own = counting_of(picture.frame_rate, picture.timecode).own if picture.timecode else None
        if start:
            read_label(start, RATES[3], strict=False)  # so that one that is none is refused at once
        counted = rate_of(picture.frame_rate)
        self._kind: Rate = RATES[code_of(counted)]
        self._slowed = {0, 3} if counted.frames.denominator != 1 else set()  # by number
        self._start = 0  # count of the first bar
        self._hours: int | None = None  # of the first bar, where no timecode was given for it
        self._nibbles: list[int | None] = [None] * PIECES
        self._piece: int | None = None
        self._passed: int | None = None  # the piece that the last one has overtaken, or that got lost before it
        self._base: int | None = None  # count of the frame of the first piece
        self._parity = 0  # of the frames whose labels are sent
        self._believed: int | None = None  # in quarter frames, what a full frame has told before the first piece
        self._sure = False  # whether eight have said so
        self._last: int | None = None
        self._course = Motion(0, 0.0)
        self._rolling = False
        self._heard = False
        self._pace = Pace(rate, self._interval, sure=True)
        self._quarters = 0  # since it rolls
        self._settled = 0.0  # when the quarter frame was meant from which on the speed is measured
        self._jitter = 0.0

    def receive(self, data: bytes, time: int) -> list[Change]:
        """Take in a MIDI message."""
        if len(data) == 2 and data[0] == QUARTER_FRAME and data[1] < 0x80:
            return self._quarter(data[1] >> 4, data[1] & 0x0F, time)
        if len(data) >= 6 and data[0] == 0xF0 and data[1] == 0x7F and data[-1] == 0xF7:
            return self._exclusive(data[3:-1], time)
        return []

    def move(self, rolling: bool, frame: int, bbt: Any, time: int) -> list[Change]:  # noqa: ARG002
        """Pass over JACK's transport."""
        return []

    def poll(self, time: int) -> list[Change]:
        """Notice that quarter frames do not come any more."""
        if not self._rolling or self._last is None:
            return []
        if time - self._last <= SILENT * self._interval + SLACK * self._rate:
            return []
        return self._stand(time)

    @property
    def state(self) -> dict[str, Any]:
        """Return whether it rolls, its rate, the label, and its jitter in ms."""
        label = str(self._kind.label(self._base + (self._piece or 0) // QUARTERS)) if self._base is not None else ""
        slowed = {0: "23.976", 3: "29.97"} if self._code in self._slowed else {}
        return {
            "rolling": self._course.is_rolling,
            "lost": False,
            "rate": slowed.get(self._code, self._kind.name) if self._heard else "",
            "timecode": label,
            "jitter_ms": round(1000 * self._jitter / self._rate, 3),
        }

    @property
    def _code(self) -> int:
        return code_of(self._kind)

    @property
    def _frames(self) -> Fraction:
        """Frames of a second."""
        return self._kind.frames / SLOWED if self._code in self._slowed else self._kind.frames

    @property
    def _interval(self) -> float:
        """Device time of a quarter frame."""
        return float(self._rate / (self._frames * QUARTERS))

    # Quarter frames

    def _quarter(self, piece: int, nibble: int, time: int) -> list[Change]:
        before, self._piece = self._piece, piece
        self._last, late = time, self._last
        passed, self._passed = self._passed, None
        gap = round((time - late) / self._interval) if late is not None and self._rolling else 1
        if before is None or not self._rolling:
            self._nibbles = [None] * PIECES
            self._nibbles[piece] = nibble
            return self._first(piece, nibble, time)
        if piece == passed:  # a network has brought it after the next one, which told where it is
            self._piece = before
            return []
        ahead = (piece - before) % PIECES
        overtook = ahead == OVERTAKING and gap <= OVERTAKING
        if overtook:
            self._passed = (before + 1) % PIECES
        if ahead not in (1, gap % PIECES) and not overtook:  # back, or anywhere: no playing
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
            base = self._guess(self._base * QUARTERS, piece, nibble)
            if base is not None and base != self._base:
                self._base = base
                return self._roll(time)
        if piece == PIECES - 1:
            label = self._label() if None not in self._nibbles else None
            self._nibbles = [None] * PIECES
            if label is not None:
                self._sure, self._parity = True, label.count % PAIR
                known, self._base = self._base is not None, label.count
                off = self._position() - self._course.position_at(time)
                if not known or abs(off) > ELSEWHERE * NANOSECONDS:
                    return self._roll(time)
        return self._nudge(time, ahead) if self._base is not None else []

    def _first(self, piece: int, nibble: int, time: int) -> list[Change]:
        """Believe the full frame that came before, or the place where it has stopped."""
        base = None
        if self._believed is not None:
            base = self._guess(self._believed, piece, nibble)
        elif not (self._heard or piece or nibble > SOON):  # who was never heard begins at the first bar
            self._start = self._said(self._kind) or (self._own.at(self._kind).count if self._own else 0)
            found = self._guess(self._start * QUARTERS, piece, nibble)
            base = found if found is not None and found - self._start <= SOON else None
        if base is None:
            self._rolling = False
            return self._gather(piece, time)
        self._base, self._sure = base, False
        return self._roll(time)

    def _guess(self, told: int, piece: int, nibble: int) -> int | None:
        """Return the first frame of the pair that a quarter frame belongs to, soon after what was told, in quarters."""
        step = PAIR if piece else 1  # the first piece tells the frame
        count = told // QUARTERS
        first = count - (count - self._parity) % step
        for base in range(first, first + PAIR * PAIRS, step):
            if base * QUARTERS + piece >= told and quarter_frame(self._kind.label(base), piece)[1] & 0x0F == nibble:
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
        self._course = Motion(time, self._position(), NANOSECONDS / self._rate)
        self._believed = None
        self._pace = Pace(self._rate, self._interval, sure=True)
        self._pace.begin(time)
        self._quarters = 0
        return [Change(self._course)]

    def _nudge(self, time: int, ahead: int) -> list[Change]:
        """Follow a quarter frame that comes a little early or late; it is the `ahead`th since the last."""
        pace = self._pace
        last = pace.last
        for number in range(1, ahead + 1):
            pace.add(last + (time - last) * number / ahead)
        self._quarters += ahead
        self._jitter += 0.1 * (abs(time - pace.meant) - self._jitter)
        self._measure()
        position = self._position()
        usual = NANOSECONDS / self._rate
        if abs(position / usual - self._course.position_at(pace.meant) / usual) < EXACT:
            return []
        speed = min(1 + FASTER, max(1 - FASTER, self._interval / pace.interval)) * usual
        self._course = Motion(time, position + (time - pace.meant) * speed, speed)
        return [Change(self._course, jump=False)]

    def _measure(self) -> None:
        """Tell by the speed a rate from that which is slower by a thousandth and has the same number."""
        pace = self._pace
        if pace.through < STRAIGHT:  # late ones have bent the line
            self._quarters = min(self._quarters, SETTLED)
        count = self._quarters - SETTLED
        if count <= 0:
            self._settled = pace.meant
            return
        usual = float(self._rate / (self._kind.frames * QUARTERS))
        if pace.off > TELLING * usual * count or self._code not in (0, 3):
            return
        speed = (pace.meant - self._settled) / (count * usual)
        if abs(speed - float(SLOWED)) < TELLING:
            self._slowed.add(self._code)
        elif abs(speed - 1) < TELLING:
            self._slowed.discard(self._code)

    def _place(self, frames: Fraction) -> int:
        """Return the position of a count of frames; a little before the first bar it is below 0."""
        day = self._kind.day
        since = (frames - self._start) % day
        return round((since - day if since >= day * 3 // 4 else since) * NANOSECONDS / self._frames)

    def _position(self) -> int:
        """Return the position of the last quarter frame."""
        assert self._base is not None
        return self._place(self._base + Fraction(self._piece or 0, QUARTERS))

    def _label(self) -> Timecode | None:
        """Read the eight; None where they say what is no label."""
        low = [each or 0 for each in self._nibbles[::2]]
        high = [each or 0 for each in self._nibbles[1::2]]
        frame, seconds, minutes, hours = (a | b << 4 for a, b in zip(low, high, strict=True))
        return self._read(RATES[hours >> 5 & 3], hours, minutes, seconds, frame)

    def _read(self, kind: Rate, hours: int, minutes: int, seconds: int, frame: int) -> Timecode | None:
        label = Timecode(kind, hours & 0x1F, minutes & 0x3F, seconds & 0x3F, frame & 0x1F)
        if label.hours > 23 or label.minutes > 59 or label.seconds > 59 or label.frame >= kind.base:
            return None
        self._kind, self._heard = kind, True
        if self._start_text:
            self._start = self._said(kind)
        elif not (self._rolling and self._sure):  # a run may go on into the next hour
            early = label.minutes == LAST_MINUTE and label.hours != self._hours
            self._hours = label.hours + early
            self._start = Timecode(kind, self._hours, 0, 0, 0).count
            if self._own is not None:
                own = self._own.at(kind).count
                since = (label.count - own + MINUTE * kind.base) % kind.day
                self._start = own if since <= (MINUTE + self._length) * kind.base else self._start
        return label

    def _said(self, kind: Rate) -> int:
        """Return the count of the first bar that was said, 0 where none was."""
        return read_label(self._start_text, kind, strict=False).count if self._start_text else 0

    # Full frames and MMC

    def _exclusive(self, said: bytes, time: int) -> list[Change]:
        if said[:2] == FULL_FRAME and len(said) == 6:
            return self._turn(RATES[said[2] >> 5 & 3], said[2:6], 0, time)
        if said[:1] == b"\x06" and len(said) > 1:
            command = said[1:]
            if command[0] in STOPS:
                return self._stand(time)
            if command[:3] == LOCATE and len(command) >= 8:
                stated = RATES[command[3] >> 5 & 3]  # some leave out the rate, which then reads as 24
                known = self._heard or not code_of(stated)
                return self._turn(self._kind if known else stated, command[3:7], command[7], time)
        return []

    def _turn(self, kind: Rate, label: bytes, part: int, time: int) -> list[Change]:
        """Go to a label and stand there; it rolls from the next quarter frame on."""
        rolled, self._rolling = self._rolling, False
        found = self._read(kind, *label)
        if found is None:
            self._rolling = rolled
            return []
        exact = found.count + Fraction(min(part, SUBFRAMES - 1), SUBFRAMES)
        self._believed = ceil(exact) * QUARTERS
        self._base = self._piece = None
        self._course = Motion(time, self._place(exact))
        return [Change(self._course)]

    def _stand(self, time: int) -> list[Change]:
        """Stop where the last quarter frame was."""
        self._rolling = False
        if not self._course.is_rolling:
            return []
        position: float = round(self._course.position_at(time))
        if self._base is not None:
            position = self._position()
            self._believed = self._base * QUARTERS + (self._piece or 0)
        self._base = self._piece = None
        self._course = Motion(time, position)
        return [Change(self._course)]
