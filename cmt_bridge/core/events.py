"""Events: the words of our own network, a bar line or a whole note each, and the cues that go with them.

The paper's words (core/tokens.py) say a note in two words, a beat word and a note word, whose attributes are drawn
apart. Where attributes are drawn in order, each knowing those before, one word can say all: `PLACE`, then for a bar
its density, for the first note of a simu-note instrument and strength, then pitch, duration and velocity. A piece takes
a third fewer words so, and the same length of memory holds more bars.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.form import LONGEST_RETURN
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import CLASSES, DURATIONS, VELOCITY_STEP, Column

__all__ = [
    "BAR_LINE",
    "END",
    "FIELD_CLASSES",
    "MOST_NOTES",
    "SAID",
    "SAME",
    "START",
    "EventRows",
    "Field",
    "Part",
    "duration_class",
    "players_mask",
    "velocity_class",
]

EventRows = npt.NDArray[np.int64]
"""Shape (events, len(Field)), columns as in `Field`."""


class Field(IntEnum):
    """The columns of an event; those up to `VELOCITY` are predicted, in this order, the others are given."""

    PLACE = 0  # 0 the simu-note goes on, 1..16 tick of a new one, then `BAR_LINE`, `END`, `START`
    DENSITY = 1  # of a bar: simu-note ticks + 1
    INSTRUMENT = 2  # 0 none, then `Instrument`
    STRENGTH = 3  # notes of the simu-note
    PITCH = 4  # MIDI pitch + 1
    DURATION = 5  # as in core/tokens.py
    VELOCITY = 6  # MIDI velocity // 8 + 1
    POSITION = 7  # tick; only differences count
    TICK = 8  # 0 on the bar line, then tick of the bar + 1
    OWED_TICKS = 9  # simu-note ticks of the bar still to come
    OWED_NOTES = 10  # notes of the simu-note still to come
    TIMING = 11  # 0 unknown, else how much of the piece has gone, in per cent + 1
    STYLE = 12  # 0 unknown, else its number in the network's list + 1
    KEY = 13  # 0 unknown, 1..12 major on C.., 13..24 minor
    PLAYERS = 14  # 0 unknown, else a bit set of the instruments that play + 1
    HIT_IN = 15  # 0 none, else ticks to the next hit of this bar + 1
    HIT_STRENGTH = 16  # of that hit
    PART = 17  # `Part`
    BARS_BACK = 18  # 0 unknown, else how many bars ago the bar's harmony was heard (core/form.py) + 1
    FOLLOWS = 19  # 1 in bars whose rhythm follows a picture


class Part(IntEnum):
    """Which part of the piece an event belongs to, where a middle is composed between two others."""

    BEFORE = 0
    AFTER = 1
    MIDDLE = 2


SAME: Final = 0
BAR_LINE: Final = 17
END: Final = 18
START: Final = 19
"""Classes of the place that are no tick."""

MOST_NOTES: Final = CLASSES[Column.STRENGTH] - 1

FIELD_CLASSES: Final[dict[Field, int]] = {
    Field.PLACE: 20,
    Field.DENSITY: 18,
    Field.INSTRUMENT: 6,
    Field.STRENGTH: MOST_NOTES + 1,
    Field.PITCH: 129,
    Field.DURATION: len(DURATIONS) + 1,
    Field.VELOCITY: 128 // VELOCITY_STEP + 1,
    Field.TICK: TICKS_PER_BAR + 1,
    Field.OWED_TICKS: TICKS_PER_BAR + 1,
    Field.OWED_NOTES: MOST_NOTES + 1,
    Field.TIMING: 102,
    Field.KEY: 25,
    Field.PLAYERS: 2 ** len(Instrument) + 1,
    Field.HIT_IN: TICKS_PER_BAR + 1,
    Field.HIT_STRENGTH: MOST_NOTES + 1,
    Field.PART: len(Part),
    Field.BARS_BACK: LONGEST_RETURN + 2,
    Field.FOLLOWS: 2,
}
"""Number of classes of every field but `POSITION`, which has none, and `STYLE`, whose list a network brings along."""

SAID: Final = tuple(Field)[: Field.VELOCITY + 1]
"""The fields that a network predicts, in the order in which they are drawn."""

_EDGES = np.array([(a + b) / 2 for a, b in pairwise(DURATIONS[1:])])


def duration_class(ticks: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the class of the duration that is nearest to `ticks`, one or more."""
    return np.searchsorted(_EDGES, np.asarray(ticks), "left") + 2


def velocity_class(velocity: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the class (1..16) of MIDI velocities 0..127."""
    return np.asarray(velocity, np.int64) // VELOCITY_STEP + 1


def players_mask(instruments: npt.ArrayLike) -> int:
    """Return the class of the players field for a set of instruments."""
    return 1 + int(sum(1 << (int(instrument) - 1) for instrument in np.unique(instruments)))
