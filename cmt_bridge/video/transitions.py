"""Find transitions that take their time: dissolves, and fades from, to and through black or white. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.metadata import Cut, Transition
from cmt_bridge.video.beats import Curve
from cmt_bridge.video.cuts import Sights, glances, kinship

__all__ = ["find_transitions"]

STEP: Final = 0.04  # s between the pictures that are compared
LENGTHS: Final = (0.32, 0.48, 0.72, 1.04, 1.52, 2.24)  # s of dissolves that are looked for
POINTS: Final = 8  # of a dissolve that are compared with a mixture of its ends
LEAST_CHANGE: Final = 0.06  # of the mean pixel, 0..1, from one end to the other
STRANGE: Final = 0.6  # kinship that pictures of two shots do not reach
MOST_ERROR: Final = 0.22  # of the whole change, by which what lies between may differ from a mixture
MOST_UNREST: Final = 0.9  # of its speed, at which pictures may change before and after a dissolve
ASIDE, AROUND = 3, 8  # steps before and after, that are looked at
EVERYWHERE: Final = 0.6, 0.03  # share of the pixels that change by more than so much: a title that appears is no shot
STEADY: Final = 0.12  # the same, of the share that has gone over
EMPTY: Final = 0.02  # contrast, 0..1, of a picture that shows nothing
DARK, BRIGHT = 0.06, 0.94  # brightness of a picture that is black or white
SHORTEST: Final = 0.25  # s of a transition
LONGEST_BLACK: Final = 2.0  # s that a fade may stay black
PAUSE: Final = 0.12  # s for which a fade may stand still

Pictures = npt.NDArray[np.float32]


def find_transitions(seconds: Curve, sights: Sights, cuts: Iterable[Cut]) -> tuple[Transition, ...]:
    """Return the transitions in the order of time; what is cut hard is none."""
    if len(seconds) < 3:
        return ()
    times = np.arange(seconds[0], seconds[-1] + STEP / 2, STEP)
    shown = np.clip(np.searchsorted(seconds, times + 1e-6, side="right") - 1, 0, None)
    pictures = glances(sights)[shown]
    places = np.array([cut.seconds for cut in cuts])
    fades = _fades(times, pictures, places)
    apart = np.array([[each.begin, each.end] for each in fades]).reshape(-1, 2)
    dissolves = [
        each
        for each in _dissolves(times, pictures, places)
        if not np.any((apart[:, 0] < each.end) & (apart[:, 1] > each.begin))
    ]
    return tuple(sorted([*fades, *dissolves]))


def _fades(times: Curve, pictures: Pictures, cuts: Curve) -> list[Transition]:
    level = pictures.mean(axis=1).astype(np.float64)
    is_flat = pictures.std(axis=1) < EMPTY
    found: list[Transition] = []
    for name, is_empty, distance in (
        ("black", is_flat & (level < DARK), level),
        ("white", is_flat & (level > BRIGHT), 1.0 - level),
    ):
        for first, last in _runs(is_empty):
            begin = _slope(times, distance, cuts, first, -1)
            end = _slope(times, distance, cuts, last, 1)
            if begin is not None and end is not None and times[last] - times[first] <= LONGEST_BLACK:
                found.append(Transition(begin, end, f"fade through {name}"))
                continue
            if begin is not None:
                found.append(Transition(begin, float(times[first]), f"fade to {name}"))
            if end is not None:
                found.append(Transition(float(times[last]), end, f"fade from {name}"))
    return found


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first and last places of each stretch of flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(after) - 1) for first, after in edges.reshape(-1, 2)]


def _slope(times: Curve, distance: Curve, cuts: Curve, place: int, way: int) -> float | None:
    """Return where the steady way to or from an empty picture begins or ends; None where there is no such way."""
    patience = round(PAUSE / STEP)
    top = at = place
    while 0 <= at + way < len(times) and abs(at - top) <= patience:
        at += way
        if distance[at] > distance[top] + 1e-3:
            top = at
    height = float(distance[top] - distance[place])
    if height < LEAST_CHANGE or abs(times[top] - times[place]) < SHORTEST:
        return None
    low, high = sorted((float(times[place]), float(times[top])))
    if np.any((cuts > low + STEP) & (cuts < high - STEP)):
        return None
    stretch = slice(place, top + 1) if way > 0 else slice(top, place + 1)
    clock, gone = times[stretch], (distance[stretch] - distance[place]) / height
    among = (gone > 0.1) & (gone < 0.8)
    if among.sum() < 3:
        return None  # at once is no fade
    slope, start = np.polyfit(clock[among], gone[among], 1)
    reached = (1.0 - start) / slope if slope else times[top]
    return float(np.clip(reached, low, high))


def _dissolves(times: Curve, pictures: Pictures, cuts: Curve) -> list[Transition]:
    candidates: list[tuple[float, int, int]] = []
    for length in LENGTHS:
        steps = round(length / STEP)
        if steps >= len(times):
            break
        first, last = pictures[:-steps], pictures[steps:]
        change = np.abs(last - first).mean(axis=1)
        share, least = EVERYWHERE
        starts = np.flatnonzero(change > LEAST_CHANGE)
        starts = starts[np.mean(np.abs(last[starts] - first[starts]) > least, axis=1) > share]
        if not len(starts):
            continue
        starts = starts[kinship(first[starts], last[starts]) < STRANGE]
        cut_within = np.searchsorted(cuts, times[starts] - STEP) != np.searchsorted(cuts, times[starts + steps] + STEP)
        starts = starts[~cut_within]
        if not len(starts):
            continue
        error = np.zeros(len(starts))
        for point in range(1, POINTS):
            at = round(point * steps / POINTS)
            gone = np.float32(at / steps)
            mixed = (1 - gone) * pictures[starts] + gone * pictures[starts + steps]
            error = np.maximum(error, np.abs(pictures[starts + at] - mixed).mean(axis=1) / change[starts])
        candidates += [
            (float(change[start] * (1.0 - e)), int(start), int(start + steps))
            for start, e in zip(starts, error, strict=True)
            if e < MOST_ERROR
        ]
    found: list[Transition] = []
    for _, first_place, last_place in sorted(candidates, reverse=True):
        begin, end = times[first_place], times[last_place]
        if all(each.end <= begin or each.begin >= end for each in found):
            refined = _refined(times, pictures, first_place, last_place)
            if refined is not None:
                found.append(Transition(*refined, "dissolve"))
    return found


def _refined(times: Curve, pictures: Pictures, first: int, last: int) -> tuple[float, float] | None:
    """Place both ends of a dissolve by how far each picture has gone; None where it does not go steadily."""
    margin = (last - first) // 2
    low, high = max(0, first - margin), min(len(times) - 1, last + margin)
    way = (pictures[last] - pictures[first]).astype(np.float64)
    gone = (pictures[low : high + 1] - pictures[first]) @ way / (way @ way)
    among = (gone > 0.15) & (gone < 0.85) & (np.arange(low, high + 1) >= first) & (np.arange(low, high + 1) <= last)
    if among.sum() < 3:
        return None
    clock = times[low : high + 1][among]
    slope, start = np.polyfit(clock, gone[among], 1)
    if slope <= 0 or np.abs(slope * clock + start - gone[among]).max() > STEADY:
        return None
    begin = max(float(times[0]), -float(start) / float(slope))
    end = min(float(times[-1]), (1.0 - float(start)) / float(slope))
    places = np.rint((np.array([begin, end]) - times[0]) / STEP).astype(int)
    if end - begin < SHORTEST or _error(pictures, *places) > MOST_ERROR or _unrest(pictures, *places) > MOST_UNREST:
        return None
    return begin, end


def _unrest(pictures: Pictures, first: int, last: int) -> float:
    """Return how fast pictures change before and after, as a share of how fast they do from one to the other."""
    inside = float(np.abs(pictures[last] - pictures[first]).mean()) / max(1, last - first)
    before = pictures[max(0, first - AROUND) : max(0, first - ASIDE) + 1]
    after = pictures[last + ASIDE : last + AROUND + 1]
    speeds = [float(np.abs(each[-1] - each[0]).mean()) / (len(each) - 1) for each in (before, after) if len(each) > 1]
    return max(speeds, default=0.0) / max(inside, 1e-9)


def _error(pictures: Pictures, first: int, last: int) -> float:
    """Return how far what lies between two pictures is from a mixture of both, as a share of their whole difference."""
    before, after = pictures[first], pictures[last]
    whole = np.abs(after - before)
    share, least = EVERYWHERE
    if np.mean(whole > least) < share or kinship(before[None], after[None])[0] >= STRANGE:
        return 1.0
    gone = np.linspace(0.0, 1.0, last - first + 1, dtype=np.float32)[:, None]
    mixed = (1 - gone) * before + gone * after
    return float(np.abs(pictures[first : last + 1] - mixed).mean(axis=1).max() / whole.mean())
