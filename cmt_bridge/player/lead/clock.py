"""Lead by MIDI clock: 24 pulses a quarter as the tempo map has them, Start, Continue, Stop and song position."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from cmt_bridge.core.tempo import TICKS_PER_QUARTER
from cmt_bridge.player.lead.pulse import Pacer
from cmt_bridge.player.timebase import Timebase

__all__ = ["ClockLeader"]

PER_TICK: Final = 24 // TICKS_PER_QUARTER
FURTHEST: Final = 0x3FFF  # sixteenths that a song position holds
SLACK: Final = Fraction(1, 500)  # of a clock; a position past one by less is meant to be on it: it was rounded
CLOCK, START, CONTINUE, STOP = (bytes((status,)) for status in (0xF8, 0xFA, 0xFB, 0xFC))
SONG_POSITION: Final = 0xF2


class ClockLeader(Pacer):
    """Send the clock of a score's tempo map, or of the beats that are followed.

    Others are started from the first sixteenth only, and elsewhere told the song position and to continue, at the next
    sixteenth, with its own clock at the same time. Whoever rolls is stopped before he is told a position: the standard
    has it so, and there is gear that passes over it else. No clock is sent while the music stands: Ardour sends none
    either, and one that follows (7.3, measured) runs away on them.

    A song position ends after 1024 bars: whoever begins beyond gets the clock alone, which is right in tempo, and goes
    on counting if he stood just there.
    """

    def __init__(self, timebase: Timebase, rate: int) -> None:
        super().__init__(timebase, rate)
        self._starts: bytes | None = None  # said right before the next clock
        self._theirs: int | None = None  # the clock that others take next, as far as they were told

    def _place_of(self, count: int) -> Fraction:
        tick, part = divmod(count, PER_TICK)
        place = self._ruler.position(tick)
        if not part:
            return Fraction(place)
        return place + Fraction(part * (self._ruler.position(tick + 1) - place), PER_TICK)

    def _pulse(self, count: int) -> list[bytes]:
        starts, self._starts = self._starts, None
        if self._theirs is not None:
            self._theirs = count + 1
        return [CLOCK] if starts is None else [starts, CLOCK]

    def _first(self, place: Fraction) -> int:
        """Return the first clock that is not before a position, nor before the first bar."""
        count = max(0, int(self._ruler.tick(float(place)) * PER_TICK) - 1)
        while self._place_of(count) + SLACK * (self._place_of(count + 1) - self._place_of(count)) < place:
            count += 1
        return count

    def _begin(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        del why
        count = self._first(place)
        sixteenth = -(-count // PER_TICK)
        if sixteenth > FURTHEST:
            self._starts = CONTINUE if self._theirs == count else None
            self._theirs = count if self._starts is not None else None
            return [], count
        self._theirs = sixteenth * PER_TICK
        self._starts = CONTINUE if sixteenth else START
        return ([_song_position(sixteenth)] if sixteenth else []), self._theirs

    def _move(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        said, count = self._begin(place, why)
        return [STOP, *said], count

    def _stand(self, place: Fraction, rolled: bool) -> list[bytes]:
        self._starts = None
        count = self._first(place)
        sixteenth = -(-count // PER_TICK)
        said = [STOP] if rolled else []
        if sixteenth <= FURTHEST:
            self._theirs = sixteenth * PER_TICK
            return [*said, _song_position(sixteenth)]
        if not rolled:
            self._theirs = None
        return said


def _song_position(sixteenth: int) -> bytes:
    return bytes((SONG_POSITION, sixteenth & 0x7F, sixteenth >> 7))
