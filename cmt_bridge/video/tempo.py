"""Estimate the tempo of a video from the rhythm of its saliency. Pure functions of curves."""

from __future__ import annotations

from typing import Final

import numpy as np

from cmt_bridge.video.beats import Curve

__all__ = ["DEFAULT_TEMPO", "estimate_tempo"]

DEFAULT_TEMPO: Final = 120.0  # BPM of a video without rhythm: what MIDI and every DAW assume where nothing is said
USUAL: Final = 120.0  # BPM at which people tap most readily (van Noorden and Moelants 1999; Ellis 2007)
OCTAVES: Final = 0.4  # standard deviation of the preference for it
LEAST_BEATS: Final = 4  # of the slowest tempo that must fit the video
LEAST_LIKENESS: Final = 0.02  # autocorrelation below which nothing recurs
CLEAR: Final = 0.5  # autocorrelation of a rhythm that needs no preference to be exact


def estimate_tempo(curve: Curve, step: float, low: float, high: float) -> float | None:
    """Return the tempo in BPM, from `low` to `high`, at which a prominence curve of `step` seconds recurs; None if
    none.

    The lag with the highest autocorrelation, weighted by a log-normal preference for the usual tempo. Where
    the rhythm is clear the preference only tells beats from their halves and doubles, and the lag is measured finer
    than a step.
    """
    power = float(curve @ curve)
    slowest = 60.0 / low / step
    if power <= 0.0 or len(curve) < LEAST_BEATS * slowest:
        return None
    size = 1 << (2 * len(curve) - 1).bit_length()
    spectrum = np.fft.rfft(curve, size)
    likeness = np.fft.irfft(spectrum * spectrum.conj(), size)[: len(curve)] / power
    lags = np.arange(1, int(slowest) + 2)
    bpm = 60.0 / (lags * step)
    middle = min(max(USUAL, low), high)
    preference = np.exp(-0.5 * (np.log2(bpm / middle) / OCTAVES) ** 2)
    within = (bpm >= low * 0.999) & (bpm <= high * 1.001)
    if not within.any():
        return None
    lag = int(lags[within][np.argmax((likeness[lags] * preference)[within])])
    top = _summit(likeness, lag)
    if likeness[top] >= CLEAR and top in lags[within]:
        return float(min(max(60.0 / (_refined(likeness, top) * step), low), high))
    return 60.0 / (lag * step) if likeness[lag] >= LEAST_LIKENESS else None


def _summit(likeness: Curve, lag: int) -> int:
    """Climb to the nearest highest point."""
    while 1 < lag < len(likeness) - 2 and max(likeness[lag - 1], likeness[lag + 1]) > likeness[lag]:
        lag += 1 if likeness[lag + 1] > likeness[lag - 1] else -1
    return lag


def _refined(likeness: Curve, lag: int) -> float:
    """Place a summit between steps: by a parabola, then by the summits at 2, 4, 8, … times its lag."""
    fine, times = _vertex(likeness, lag), 1
    while round(2 * times * fine) < len(likeness) - 2:
        summit = _summit(likeness, round(2 * times * fine))
        if abs(summit - 2 * times * fine) > 1.5 or likeness[summit] < CLEAR:
            break
        times *= 2
        fine = _vertex(likeness, summit) / times
    return fine


def _vertex(likeness: Curve, lag: int) -> float:
    """Return the top of the parabola through a summit and its neighbours."""
    left, middle, right = likeness[lag - 1 : lag + 2]
    bend = left - 2.0 * middle + right
    return lag + (0.5 * float(left - right) / float(bend) if bend < 0.0 and middle >= max(left, right) else 0.0)
