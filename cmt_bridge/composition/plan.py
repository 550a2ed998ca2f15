"""From what a video measures to what its music should do: the three rhythmic relations of the paper."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.bounds import BARS, check_bars
from cmt_bridge.core.control import ControlBeat, ControlTrack
from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.tempo import BEATS_PER_BAR, TICKS_PER_BAR, TempoMap, bpm_to_uspq, uspq_to_bpm
from cmt_bridge.errors import VideoError

__all__ = ["at_tempo", "density_class", "plan", "strength_class"]

# Percentile-matched thresholds of the released code: a value's class is the number of thresholds at or below it.
DENSITY_THRESHOLDS = (
    0.008169, 0.020344, 0.029795, 0.041042, 0.070875, 0.105125, 0.142673, 0.190956,
    0.515512, 0.751478, 0.998934, 1.206753, 1.632258, 2.031705, 2.467431, 2.810442,
)  # fmt: skip
STRENGTH_THRESHOLDS = (0, 0.228903, 0.483821, 0.787098, 0.891160, 0.964557, 0.991242, 0.997821, 0.999666, 0.999891)

LEAST_DENSITY = 1  # a calm bar still has music
STILL_DENSITY = 4  # a picture without any motion asks for nothing: one onset a beat
SLACK = 0.5  # ticks by which a video may run over a bar line without needing another bar


def density_class(flow: float) -> int:
    """Return the density (0..16) of a bar whose mean absolute flow is `flow` pixels per frame at 360 lines."""
    return bisect_right(DENSITY_THRESHOLDS, flow)


def strength_class(weight: float) -> int:
    """Return the strength (1..10) of a visual beat of `weight` 0..1."""
    return max(1, bisect_right(STRENGTH_THRESHOLDS, weight))


def plan(metadata: VideoMetadata, tempo_map: TempoMap | None = None) -> ControlTrack:
    """Map motion speed to density, visual beats to strength, and time to bars (paper, section 3).

    Bars begin with the video and cover it whole; they are those of its own tempo, or of another `tempo_map`. A bar's
    density is at least the number of its visual beats, so that both can be followed.
    """
    check_bars(metadata.source.name, metadata.duration, metadata.tempo, VideoError)
    flow: Sequence[float] = metadata.flow_per_bar
    if tempo_map is None:
        tempo_map = TempoMap.constant(metadata.tempo)
    else:
        flow = _flow_between(metadata, _bar_lines(tempo_map, metadata.duration))
    ticks = tempo_map.ticks(metadata.duration)
    bars = max(1, -int(-(ticks - SLACK) // TICKS_PER_BAR))
    BARS.check(bars, VideoError)
    n_beat = min(bars * TICKS_PER_BAR, max(1, round(ticks)))
    strengths: dict[int, int] = {}
    for beat in metadata.beats:
        tick = tempo_map.tick_at(beat.seconds)
        if 0 <= tick < n_beat:
            strengths[tick] = max(strengths.get(tick, 0), strength_class(beat.weight))
    hits = Counter(tick // TICKS_PER_BAR for tick in strengths)
    return ControlTrack(
        tempo_map=tempo_map,
        density=tuple(max(hits[bar], density) for bar, density in enumerate(_densities(flow, bars))),
        beats=tuple(ControlBeat(tick, strengths[tick]) for tick in sorted(strengths)),
        n_beat=n_beat,
    )


def at_tempo(metadata: VideoMetadata, bpm: float) -> VideoMetadata:
    """Return metadata with another tempo, its motion averaged over the new bars."""
    tempo = uspq_to_bpm(bpm_to_uspq(bpm))
    check_bars(metadata.source.name, metadata.duration, tempo, VideoError)
    new = 60.0 * BEATS_PER_BAR / tempo
    flow = _flow_between(metadata, np.arange(math.ceil(metadata.duration / new) + 1, dtype=np.float64) * new)
    return replace(metadata, tempo=tempo, tempo_source="given", flow_per_bar=flow)


def _bar_lines(tempo_map: TempoMap, duration: float) -> npt.NDArray[np.float64]:
    bars = math.ceil(tempo_map.ticks(duration) / TICKS_PER_BAR)
    return np.array([float(tempo_map.bar_seconds(bar)) for bar in range(bars + 1)])


def _flow_between(metadata: VideoMetadata, lines: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Average the motion between moments (seconds), as far as the video goes."""
    old = 60.0 * BEATS_PER_BAR / metadata.tempo
    edges = np.minimum(np.arange(len(metadata.flow_per_bar) + 1) * old, metadata.duration)
    moved = np.concatenate([[0.0], np.cumsum(np.diff(edges) * metadata.flow_per_bar)])
    lines = np.minimum(lines, metadata.duration)
    lengths = np.diff(lines)
    flow = np.diff(np.interp(lines, edges, moved))[lengths > 0] / lengths[lengths > 0]
    return tuple(flow.tolist())


def _densities(flow: Sequence[float], bars: int) -> list[int]:
    """Return one density per bar; bars beyond the measured ones go on as the last."""
    classes = [density_class(value) for value in flow[:bars]] or [0]
    if not any(classes):
        return [STILL_DENSITY] * bars
    classes += [classes[-1]] * (bars - len(classes))
    return [max(LEAST_DENSITY, value) for value in classes]
