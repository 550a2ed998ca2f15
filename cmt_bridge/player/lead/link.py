"""Lead an Ableton Link session: its tempo, its bar lines, its start and stop are ours."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from cmt_bridge.core.tempo import TICKS_PER_QUARTER
from cmt_bridge.player.lead.pulse import Pacer, Told
from cmt_bridge.player.linkclock import QUANTUM, LinkClock, join
from cmt_bridge.player.timebase import TIME, Timebase

__all__ = ["LinkLeader"]

SLIP: Final = 0.003  # s by which the session's beats may be off before they are set right
SAME_TEMPO: Final = 0.01  # BPM; Link keeps a beat in whole microseconds


class LinkLeader(Pacer):
    """Set the session's tempo and beat at each sixteenth where they differ from ours, whoever changed them.

    A session knows no positions: others learn where the bar is, and when it begins. Raises `MissingError` where Link is
    not installed.
    """

    def __init__(self, timebase: Timebase, rate: int) -> None:
        super().__init__(timebase, rate)
        self._session = join(timebase.bpm(0))
        self._clock = LinkClock(self._session, rate)

    def render(self, until: int) -> Told:
        """Do what is due before a device time; nothing of it is a message."""
        if self._now is not None:
            self._clock.note(self._now)
            return super().render(until)
        self._now = until
        return []

    def close(self) -> None:
        """Leave the session."""
        self._session.enabled = False

    def _place_of(self, count: int) -> Fraction:
        return Fraction(self._ruler.position(count))

    def _pulse(self, count: int) -> list[bytes]:
        micros = self._clock.micros(self._due)
        state = self._session.captureSessionState()
        tempo, beat = self._tempo(Fraction(self._ruler.position(count))), count / TICKS_PER_QUARTER
        off = (state.beatAtTime(micros, QUANTUM) - beat) * 60 / tempo
        if abs(state.tempo() - tempo) > SAME_TEMPO or abs(off) > SLIP:
            state.setTempo(tempo, micros)
            state.forceBeatAtTime(beat, micros, QUANTUM)
            self._session.commitSessionState(state)
        return []

    def _begin(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        del why
        self._set(place, True)
        return [], int(self._ruler.tick(float(place))) + 1

    def _move(self, place: Fraction, why: str) -> tuple[list[bytes], int | None]:
        return self._begin(place, why)

    def _stand(self, place: Fraction, rolled: bool) -> list[bytes]:
        if rolled:
            self._set(place, False)
        return []

    def _set(self, place: Fraction, plays: bool) -> None:
        micros = self._clock.micros(self._now or 0)
        state = self._session.captureSessionState()
        if plays:
            state.setTempo(self._tempo(place), micros)
            state.forceBeatAtTime(self._ruler.tick(float(place)) / TICKS_PER_QUARTER, micros, QUANTUM)
        if state.isPlaying() is not plays:
            state.setIsPlaying(plays, micros)
        self._session.commitSessionState(state)

    def _tempo(self, place: Fraction) -> float:
        if self._ruler.domain != TIME and self._course.is_rolling:
            return self._course.speed * self._rate * 60 / TICKS_PER_QUARTER
        return self._ruler.bpm(float(place))
