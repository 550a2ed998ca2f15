"""How well a piece of music fits a video that it was not written for: the paper's Eq. 16."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.tempo import TICKS_PER_BAR
from cmt_bridge.core.tokens import BAR, Column, TokenRows, Type

__all__ = ["Match", "Rhythm", "match", "rhythm_of_rows", "rhythm_of_video"]


@dataclass(frozen=True)
class Rhythm:
    """The rhythm of a video or of music: `density` per bar, shape (bars,), `strength` per tick, shape (bars, 16)."""

    density: npt.NDArray[np.int64]
    strength: npt.NDArray[np.int64]

    @property
    def bars(self) -> int:
        return len(self.density)


@dataclass(frozen=True, slots=True)
class Match:
    """How music and video compare over `bars` bars: 0 is a perfect `distance`, in squared classes."""

    distance: float
    bars: int

    @property
    def matchness(self) -> float:
        """The paper's figure, higher is better; infinite for a perfect match (the released code divides by zero)."""
        return 1 / self.distance if self.distance > 0 else math.inf


def rhythm_of_video(control: ControlTrack) -> Rhythm:
    """Return the density of each bar and the strength of each visual beat of a video."""
    strength = np.zeros((control.bars, TICKS_PER_BAR), np.int64)
    for beat in control.beats:
        if 0 <= beat.tick < strength.size:
            strength.flat[beat.tick] = max(beat.strength, strength.flat[beat.tick])
    return Rhythm(np.array(control.density, np.int64), strength)


def rhythm_of_rows(rows: TokenRows) -> Rhythm:
    """Return the density of each bar and the strength of each tick of a song's words.

    Where several instruments start on a tick its strength is that of the largest simu-note: the accent that is heard.
    (The released code takes whichever word comes last, so the order of tracks in a file would change the result.)
    """
    is_rhythm = rows[:, Column.TYPE] == Type.RHYTHM
    is_bar = is_rhythm & (rows[:, Column.BEAT] == BAR)
    bar = np.cumsum(is_bar) - 1
    is_beat = is_rhythm & (rows[:, Column.BEAT] >= 1) & (rows[:, Column.BEAT] < BAR) & (bar >= 0)
    strength = np.zeros((int(is_bar.sum()), TICKS_PER_BAR), np.int64)
    np.maximum.at(strength, (bar[is_beat], rows[is_beat, Column.BEAT] - 1), rows[is_beat, Column.STRENGTH])
    return Rhythm(rows[is_bar, Column.DENSITY] - 1, strength)


def match(music: Rhythm, video: Rhythm) -> Match:
    """Compare music with a video over the bars that both have (Eq. 16).

    The distance is the mean squared difference of density over bars, plus that of strength over ticks, where the
    music's strength counts at visual beats only. Without a common bar the distance is infinite.
    """
    bars = min(music.bars, video.bars)
    if not bars:
        return Match(math.inf, 0)
    wanted = video.strength[:bars]
    played = music.strength[:bars] * (wanted > 0)
    density = np.mean((music.density[:bars] - video.density[:bars]) ** 2)
    return Match(float(density + np.mean((played - wanted) ** 2)), bars)
