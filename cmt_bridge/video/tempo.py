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


def estimate_tempo(curve: Curve, step: float, low: float, high: float) -> float | None:
    """Give the tempo in BPM, from `low` to `high`, at which a prominence curve of `step` seconds recurs; None if none.

    The lag with the highest autocorrelation, weighted by a log-normal preference for the usual tempo, refined between
    steps by a parabola.
    """
    power = float(curve @ curve)
    slowest = 60.0 / low / step
    if power <= 0.0 or len(curve) < LEAST_BEATS * slowest:
        return None
    size = 1 << (2 * len(curve) - 1).bit_length()
    spectrum = np.fft.rfft(curve, size)
    likeness = np.fft.irfft(spectrum * spectrum.conj(), size)[: int(slowest) + 3] / power
    lags = np.arange(1, len(likeness) - 1)
    bpm = 60.0 / (lags * step)
    middle = min(max(USUAL, low), high)
    preference = np.exp(-0.5 * (np.log2(bpm / middle) / OCTAVES) ** 2)
    within = (bpm >= low * 0.999) & (bpm <= high * 1.001)
    if not within.any():
        return None
    lag = int(lags[within][np.argmax((likeness[lags] * preference)[within])])
    if likeness[lag] < LEAST_LIKENESS:
        return None
    left, top, right = likeness[lag - 1 : lag + 2]
    bend = left - 2.0 * top + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 and top >= max(left, right) else 0.0
    return float(min(max(60.0 / ((lag + shift) * step), low), high))
