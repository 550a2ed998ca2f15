"""Find visual beats: moments at which motion stops short, in a near-constant rhythm. Pure functions of curves.

Written from the description in the CMT paper (section 3.2) and from what visual impact means in Davis and Agrawala,
*Visual Rhythm and Beat* (2018): the eye feels a beat where motion in some direction decelerates suddenly.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.metadata import VisualBeat

__all__ = ["Curve", "even_directogram", "on_time", "peaks", "prominence", "saliency", "sequence"]

Curve = npt.NDArray[np.float64]

SMOOTHING: Final = 0.055  # s; shorter jolts are shake and noise. Finds most of the original's beats among 0.04 to 0.15
MOST_AT_ONCE: Final = 99.5  # percentile at which saliency is cut off, so that a hard cut does not dwarf all motion
SURROUNDINGS: Final = 0.6  # s, about a beat; a visual beat stands out from the mean of its surroundings
NEAREST_PEAK: Final = 0.08  # s to either side within which a visual beat is the highest
HELD: Final = 0.3  # s, after which a picture is held, and does not move slowly
SEEN_LATE: Final = 0.15  # s, after which motion that stops at once has been seen to stop
LEAST_SALIENCY: Final = 2e-3  # pixels per frame²; weights are relative to this at least: noise is no strong beat
LEAST_WEIGHT: Final = 0.01
OFF_BEAT_COST: Final = 0.04  # in weight, of an interval as far from half beats as can be
MEMORY: Final = 4.0  # beats; across a longer pause, no rhythm is expected to go on


def even_directogram(
    seconds: Curve, directogram: npt.NDArray[np.float32], step: float, duration: float
) -> npt.NDArray[np.float64]:
    """Spread motion by direction evenly over steps of `step` seconds, whatever the frame times.

    `directogram` has shape (n, directions): the motion between frame i-1 and frame i at times `seconds` (n,). Gives
    shape (steps, directions), in pixels per step; step k lasts from k·step to (k+1)·step. A picture that is held is
    still until the next one comes. How the last picture moves on is not known, so that the last known motion stays: an
    end is no visual beat.
    """
    edges = np.arange(int(np.ceil(duration / step - 1e-6)) + 1) * step
    total = np.cumsum(directogram, axis=0, dtype=np.float64)
    held = np.flatnonzero(np.diff(seconds) > max(HELD, 2 * step)) + 1
    knots = np.insert(seconds, held, seconds[held] - step)
    total = np.insert(total, held, total[held - 1], axis=0)
    even = np.stack([np.diff(np.interp(edges, knots, path)) for path in total.T], axis=1)
    known = max(1, int(np.floor(seconds[-1] / step + 1e-3)))
    even[known:] = even[min(known, len(even)) - 1]
    return even


def saliency(even: npt.NDArray[np.float64], step: float, smoothing: float = SMOOTHING) -> Curve:
    """Return the mean, over directions, of how much motion slows down from one step to the next.

    Entry k compares steps k-1 and k; entry 0 is 0. In pixels per frame, per frame. Cut off at a high percentile.
    `smoothing` in seconds is the standard deviation of a Gaussian over time.
    """
    smooth = _gaussian(even, smoothing / step)
    slowing = np.maximum(smooth[:-1] - smooth[1:], 0.0).mean(axis=1)
    curve = np.concatenate([[0.0], slowing])
    cut_off: Curve = np.minimum(curve, np.percentile(curve, MOST_AT_ONCE))
    return cut_off


def prominence(curve: Curve, step: float, surroundings: float = SURROUNDINGS) -> Curve:
    """Return how far a curve stands above the mean of its surroundings, in seconds; 0 where it does not."""
    half = max(1, round(surroundings / step / 2))
    padded = np.concatenate([[0.0], np.cumsum(np.pad(curve, half, mode="edge"))])
    mean: Curve = (padded[2 * half + 1 :] - padded[: -2 * half - 1]) / (2 * half + 1)
    above: Curve = np.maximum(curve - mean, 0.0)
    return above


def peaks(curve: Curve, step: float) -> tuple[VisualBeat, ...]:
    """Find the local maxima of a prominence curve; weights are relative to the highest.

    A change of motion from step k-1 to step k is seen when step k ends, at (k+1)·step.
    """
    top = max(float(curve.max(initial=0.0)), LEAST_SALIENCY)
    half = max(1, round(NEAREST_PEAK / step))
    found: list[VisualBeat] = []
    last = -half
    for k in np.flatnonzero(curve >= LEAST_WEIGHT * top):
        if k - last >= half and curve[k] >= curve[max(0, k - half) : k + half + 1].max():
            found.append(VisualBeat(seconds=float((k + 1) * step), weight=float(curve[k] / top)))
            last = int(k)
    return tuple(found)


def on_time(seconds: Curve, beats: tuple[VisualBeat, ...]) -> tuple[VisualBeat, ...]:
    """Place visual beats that follow a picture which comes after one was held on the moment at which it comes.

    `seconds` (n,) are the times of the frames.
    """
    coming = seconds[1:][np.diff(seconds) > HELD]
    found: dict[float, VisualBeat] = {}
    for beat in beats:
        place = int(np.searchsorted(coming, beat.seconds, side="right")) - 1
        late = beat.seconds - coming[place] if place >= 0 else np.inf
        moment = float(coming[place]) if late <= SEEN_LATE else beat.seconds
        if moment not in found or found[moment].weight < beat.weight:
            found[moment] = VisualBeat(moment, beat.weight)
    return tuple(sorted(found.values()))


def sequence(candidates: tuple[VisualBeat, ...], tempo: float) -> tuple[VisualBeat, ...]:
    """Choose the visual beats that make the heaviest and most even sequence.

    Dynamic programming: the sum of the weights less a cost for each interval that is not near a multiple of half a beat
    at `tempo` BPM. Strong visual beats so stay wherever they are; weak ones must fit in.
    """
    half = 30.0 / tempo
    best: list[float] = []
    before: list[int] = []
    settled, settled_at = 0.0, -1  # the best sequence that ends before memory begins
    first = 0
    for j, beat in enumerate(candidates):
        while beat.seconds - candidates[first].seconds > 2 * MEMORY * half:
            if best[first] > settled:
                settled, settled_at = best[first], first
            first += 1
        score, origin = settled, settled_at
        for i in range(first, j):
            halves = (beat.seconds - candidates[i].seconds) / half
            off = abs(halves - max(1.0, round(halves)))
            value = best[i] - OFF_BEAT_COST * min(1.0, 2.0 * off) ** 2
            if value > score:
                score, origin = value, i
        best.append(score + beat.weight)
        before.append(origin)
    chosen = []
    j = int(np.argmax(best)) if best else -1
    while j >= 0:
        chosen.append(candidates[j])
        j = before[j]
    return tuple(reversed(chosen))


def _gaussian(curves: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    """Smooth along the first axis; `sigma` in steps. Ends are held."""
    sigma = max(sigma, 0.6)
    reach = int(4 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(curves, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)
