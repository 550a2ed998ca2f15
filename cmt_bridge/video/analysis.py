"""Turn the curves of a video into its metadata: tempo, visual beats, cuts and motion per bar. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from cmt_bridge.core.bounds import check_bars
from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.options import AnalysisOptions
from cmt_bridge.core.tempo import BEATS_PER_BAR, bpm_to_uspq, uspq_to_bpm
from cmt_bridge.errors import VideoError
from cmt_bridge.video.beats import even_directogram, on_time, peaks, prominence, saliency, sequence
from cmt_bridge.video.cuts import find_cuts
from cmt_bridge.video.measurement import Measurement
from cmt_bridge.video.tempo import DEFAULT_TEMPO, estimate_tempo
from cmt_bridge.video.transitions import find_transitions

__all__ = ["analyze", "flow_per_bar"]

# Rhythm is looked for in a smoother curve than single beats are, and against a wider mean. With 0.11 to 0.13 and 0.8 to
# 0.85 s the tempo agrees with the original's on the four clips that its output is known for.
TEMPO_SMOOTHING: Final = 0.125  # s
TEMPO_SURROUNDINGS: Final = 0.8  # s
COARSEST: Final = 0.09  # s; in steps of that motion is looked at where frames are rare
LEAST_PEAKS: Final = 4  # visual beats, below which no tempo is read from them


def analyze(measurement: Measurement, options: AnalysisOptions | None = None) -> VideoMetadata:
    """Return the metadata of a measured video.

    A video without rhythm (still, or shorter than four beats) gets the default tempo, or the end of the allowed range
    nearest to it; `tempo_source` then says `default`. The tempo is one that a MIDI file can state exactly. Raises
    `VideoError` where it has more bars than music may have.
    """
    options = options or AnalysisOptions()
    check_bars(measurement.source.name, measurement.duration, options.tempo or options.tempo_low, VideoError)
    parts = int(np.ceil(measurement.nominal / COARSEST - 1e-6))  # of a frame, since a beat is late by a step
    step = measurement.nominal / parts
    even = parts * even_directogram(measurement.seconds, measurement.directogram, step, measurement.duration)
    curve = parts * saliency(even, step)
    candidates = peaks(prominence(curve, step), step)
    candidates = on_time(measurement.seconds, candidates)
    candidates = tuple(beat for beat in candidates if beat.seconds < measurement.duration)
    tempo, tempo_source = options.tempo, "given"
    if tempo is None and len(candidates) >= LEAST_PEAKS:
        rhythm = prominence(saliency(even, step, TEMPO_SMOOTHING), step, TEMPO_SURROUNDINGS)
        tempo, tempo_source = estimate_tempo(rhythm, step, options.tempo_low, options.tempo_high), "estimated"
    if tempo is None:
        tempo, tempo_source = min(max(DEFAULT_TEMPO, options.tempo_low), options.tempo_high), "default"
    tempo = uspq_to_bpm(bpm_to_uspq(tempo))
    seconds, sights = measurement.seconds, measurement.sights
    cuts = find_cuts(seconds, measurement.residual, sights, options.cut_sensitivity)
    return VideoMetadata(
        source=measurement.source,
        duration=measurement.duration,
        tempo=tempo,
        tempo_source=tempo_source,
        beats=sequence(candidates, tempo),
        cuts=cuts,
        flow_per_bar=flow_per_bar(measurement, tempo),
        joints=measurement.joints,
        transitions=find_transitions(seconds, sights, cuts),
    )


def flow_per_bar(measurement: Measurement, tempo: float) -> tuple[float, ...]:
    """Return the mean speed of each bar at `tempo` BPM, in pixels per frame; the last bar may be cut short.

    Bars are cut in time: a step from frame to frame that a bar line divides counts on both sides, by its share.
    """
    bar = BEATS_PER_BAR * 60.0 / tempo
    seconds = measurement.seconds
    moving = float(seconds[-1])  # nothing is known of how the last picture moves on
    bars = max(1, int(np.ceil(measurement.duration / bar - 1e-6)))
    edges = np.minimum(np.arange(bars + 1) * bar, moving)
    path = np.interp(edges, seconds, np.cumsum(measurement.speed, dtype=np.float64))
    lengths = np.diff(edges)
    speeds = np.where(lengths > 1e-9, np.diff(path) * measurement.nominal / np.maximum(lengths, 1e-9), 0.0)
    if bars > 1 and lengths[-1] <= 1e-9:
        speeds[-1] = speeds[-2]
    return tuple(float(speed) for speed in speeds)
