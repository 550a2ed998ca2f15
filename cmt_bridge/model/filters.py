"""What a word may be: named filters over the classes of each column, one idea each.

A filter gives, for a column and a cursor, the classes it allows. They are asked in order; one that would leave nothing
yields to those before it, so the grammar always holds and wishes hold where they can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.key import key_of
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import BAR, CLASSES, DURATIONS, Column
from cmt_bridge.model.decoding_state import DecodingState

__all__ = [
    "DENSITY",
    "INDEX",
    "PITCH",
    "TICK",
    "Allowed",
    "DensityControl",
    "Ending",
    "Filter",
    "Grammar",
    "Hits",
    "Instruments",
    "NoRepeat",
    "PitchRange",
    "Polyphony",
    "allowed_classes",
    "filters_for",
    "mask",
    "none_of",
]

Allowed = npt.NDArray[np.bool_]
"""Shape (classes of the column): True where a class may be drawn."""


class Filter(Protocol):
    """Limits what a column may be; None where it has nothing to say."""

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None: ...


def mask(test: npt.ArrayLike) -> Allowed:
    """Return a comparison of classes as what it is: NumPy's types do not tell."""
    return np.asarray(test, np.bool_)


def none_of(pitches: Iterable[int]) -> Allowed:
    """Return the classes of the pitch column that are none of some MIDI pitches."""
    allowed = np.ones(CLASSES[Column.PITCH], np.bool_)
    allowed[[pitch + 1 for pitch in pitches]] = False
    return allowed


INDEX = {column: np.arange(CLASSES[column]) for column in Column} | {
    Column.DURATION: np.arange(len(DURATIONS) + 1)  # the longer ones are for networks that know them
}
EVERYTHING = {column: np.ones(len(index), np.bool_) for column, index in INDEX.items()}
TICK = INDEX[Column.BEAT] - 1  # the tick that each class of the beat column stands for; TICKS_PER_BAR is the bar line
PITCH = INDEX[Column.PITCH] - 1
DENSITY = INDEX[Column.DENSITY] - 1  # of a bar word


class Grammar:
    """The form of a song: time never runs back, counts are kept, nothing is instrument 0.

    A bar has exactly the simu-note ticks that its bar word states. On one tick instruments come in their order.
    """

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.last = max(instruments)
        self._said = {column: mask(INDEX[column] >= 1) for column in Column}
        self._said[Column.DURATION] = mask(INDEX[Column.DURATION] >= 2)  # no note lasts no tick
        self._later = [mask(INDEX[Column.INSTRUMENT] > played) for played in INDEX[Column.INSTRUMENT]]

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        if column is Column.BEAT:
            stays = cursor.tick >= 0 and cursor.highest_played < self.last
            latest = TICKS_PER_BAR - cursor.owed_ticks  # a tick after it could not keep the count
            later = (cursor.tick < TICK) & (latest >= TICK) & (TICK < TICKS_PER_BAR) & (cursor.owed_ticks > 0)
            bar_line = (INDEX[Column.BEAT] == BAR) & (cursor.owed_ticks == 0)
            return mask(later | bar_line | ((cursor.tick == TICK) & stays))
        if column is Column.INSTRUMENT:
            return self._later[cursor.highest_played]
        return self._said[column]


class Instruments:
    """Only the chosen instruments play."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._allowed = np.isin(INDEX[Column.INSTRUMENT], instruments)

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:  # noqa: ARG002
        return self._allowed if column is Column.INSTRUMENT else None


class Polyphony:
    """No simu-note has more notes than the instrument plays at once, or than its range has pitches."""

    def __init__(self, options: ComposeOptions) -> None:
        self._allowed = {int(i): mask(INDEX[Column.STRENGTH] <= most_notes(options, i)) for i in Instrument}

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        return self._allowed[cursor.instrument] if column is Column.STRENGTH else None


def most_notes(options: ComposeOptions, instrument: Instrument) -> int:
    """Return the most notes of a simu-note of an instrument."""
    low, high = options.pitches[instrument]
    return min(options.polyphony[instrument], high - low + 1)


class PitchRange:
    """Every note lies in its instrument's range."""

    def __init__(self, options: ComposeOptions) -> None:
        self._allowed = {int(i): (low <= PITCH) & (high >= PITCH) for i, (low, high) in options.pitches.items()}

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        return self._allowed[cursor.instrument] if column is Column.PITCH else None


class NoRepeat:
    """No pitch twice in one simu-note."""

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        if column is not Column.PITCH or not cursor.pitches:
            return None
        return none_of(cursor.pitches)


class DensityControl:
    """A bar has the picture's density where the draw for it said so; else some music, and room for its visual beats."""

    def __init__(self, control: ControlTrack) -> None:
        self.control = control

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        if column is not Column.DENSITY:
            return None
        if cursor.follow_density:
            return mask(self.control.density[cursor.bar] == DENSITY)
        return mask(max(1, len(cursor.hits)) <= DENSITY)


class Hits:
    """Visual beats that are followed sound, with the picture's strength.

    Instruments that play chords or drums have exactly that many notes there (or all they can play); one that can play
    them all is among them.
    """

    def __init__(self, options: ComposeOptions) -> None:
        self._most = {int(i): most_notes(options, i) for i in options.instruments if i is not Instrument.BASS}
        if not self._most:
            self._most = {int(i): most_notes(options, i) for i in options.instruments}
        self._peak = max(self._most.values())

    def _carriers(self, strength: int) -> list[int]:
        return [i for i, most in self._most.items() if most >= min(strength, self._peak)]

    def _owing(self, cursor: DecodingState) -> list[int]:
        """Return who could still bring the hit on this tick; nobody where there is none, or it has sounded."""
        strength = cursor.hits.get(cursor.tick)
        carriers = [] if strength is None else self._carriers(strength)
        return [] if cursor.played & set(carriers) else carriers

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        if column is Column.BEAT:
            if self._owing(cursor):
                return mask(cursor.tick == TICK)
            ahead = cursor.hits_ahead()
            if not ahead:
                return None
            spare = cursor.owed_ticks > len(ahead)
            return (cursor.tick == TICK) | (min(ahead) == TICK) | ((min(ahead) > TICK) & spare)
        if column is Column.INSTRUMENT and (carriers := self._owing(cursor)):
            return mask(INDEX[column] <= max(carriers))
        strength = cursor.hits.get(cursor.tick)
        if column is Column.STRENGTH and strength is not None and cursor.instrument in self._most:
            return mask(INDEX[column] == min(strength, self._most[cursor.instrument]))
        return None


RECENT_BARS = 4  # who has played within them is still playing
LAST_DRUMS = (35, 36, 49, 51, 57, 59)  # bass drums and cymbals
TRIADS = ((0, 4, 7), (0, 3, 7))  # major, minor; semitones above the tonic


class Ending:
    """The piece ends: on the downbeat of its last bar everyone who is playing holds a tonic chord."""

    def __init__(self, control: ControlTrack, options: ComposeOptions) -> None:
        self.bar = control.ending
        self.instruments = tuple(options.instruments)
        self.key = divmod(options.key_class - 1, 12)[::-1] if options.key_class else None

    def _playing(self, cursor: DecodingState) -> list[int]:
        recent = [i for i, bar in cursor.last_played.items() if self.bar - RECENT_BARS <= bar]
        pitched = [i for i in self.instruments if i != Instrument.DRUMS]
        if pitched and not any(i != Instrument.DRUMS for i in recent):
            recent.append(int(pitched[0]))  # drums alone do not end a piece
        return recent or [int(self.instruments[0])]

    def mask(self, column: Column, cursor: DecodingState) -> Allowed | None:
        if cursor.bar < self.bar:
            return None
        if cursor.bar > self.bar:
            return mask(DENSITY == 0) if column is Column.DENSITY else None
        if column is Column.DENSITY:
            return mask(DENSITY == 1)
        if column is Column.BEAT:
            return mask((0 if self._waiting(cursor) else TICKS_PER_BAR) == TICK)
        if column is Column.INSTRUMENT:
            return mask(INDEX[column] == min(self._waiting(cursor), default=0))
        if column is Column.DURATION:
            return mask(INDEX[column] == TICKS_PER_BAR + 1)
        if column is Column.PITCH:
            return self._last_pitches(cursor)
        return None

    def _waiting(self, cursor: DecodingState) -> list[int]:
        return [instrument for instrument in self._playing(cursor) if instrument > cursor.highest_played]

    def _last_pitches(self, cursor: DecodingState) -> Allowed | None:
        if cursor.instrument == Instrument.DRUMS:
            return np.isin(PITCH, LAST_DRUMS)
        if self.key is None and not cursor.pitch_classes.any():
            return None
        tonic, minor = self.key or key_of(cursor.pitch_classes)
        triad = TRIADS[minor] if cursor.instrument != Instrument.BASS else (0,)
        return np.isin(PITCH % 12, [(tonic + interval) % 12 for interval in triad])


def filters_for(control: ControlTrack, options: ComposeOptions, given: Sequence[Filter] = ()) -> tuple[Filter, ...]:
    """Return the filters of a composition, in the order in which they are asked; `given` come before all wishes."""
    return (
        Grammar(options.instruments),
        *given,
        Instruments(options.instruments),
        PitchRange(options),
        NoRepeat(),
        Polyphony(options),
        Ending(control, options),
        Hits(options),
        DensityControl(control),
    )


def allowed_classes(filters: Sequence[Filter], column: Column, cursor: DecodingState) -> Allowed:
    """Return the classes of a column that all filters allow; a filter that would leave none yields."""
    allowed: Allowed = EVERYTHING[column]
    for each in filters:
        said = each.mask(column, cursor)
        if said is not None:
            left = allowed & said
            if np.count_nonzero(left):
                allowed = left
    return allowed
