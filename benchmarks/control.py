"""Measure how closely composed music follows the picture, at several strengths of control.

    python benchmarks/control.py [PICTURE …] [--model NAME] [--takes 5]

A PICTURE is a video, a metadata.json or a video's .npz of the original; without one the demo clip is taken (`make demo`
cuts it). Errors are mean absolute ones, in the paper's units: density over its spread of 10.90, strength over 1.83.
Density counts over all bars but those of the last chord, strength over all visual beats (the largest simu-note there
against the picture's). Time is how far the last note's end lies from the picture's end, as a share of its length.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from cmt_bridge.core.control import ControlTrack
from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.score import Score
from cmt_bridge.model.registry import DEFAULT
from cmt_bridge.pipeline import look_at, score_picture

DENSITY_SPREAD, STRENGTH_SPREAD = 10.90, 1.83  # of the released code
PAPER = (0.107, 0.001, 0.028)
DEMO = Path(__file__).parents[1] / "build" / "demo.mp4"


def errors(score: Score, control: ControlTrack) -> tuple[list[float], list[float], float]:
    """Give the density errors of bars, the strength errors of visual beats, and the time error."""
    onsets: dict[int, dict[int, int]] = {}
    for instrument, note in score.notes():
        onsets.setdefault(note.onset, {}).setdefault(int(instrument), 0)
        onsets[note.onset][int(instrument)] += 1
    heard = np.bincount([onset // 16 for onset in onsets], minlength=control.bars)
    density = [abs(int(heard[bar]) - control.density[bar]) / DENSITY_SPREAD for bar in range(control.ending)]
    strength = [
        abs(max(onsets.get(beat.tick, {0: 0}).values()) - beat.strength) / STRENGTH_SPREAD
        for beat in control.with_ending().beats
    ]
    end = max(note.end for _, note in score.notes())
    return density, strength, abs(end - control.n_beat) / control.n_beat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="*", type=Path)
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--takes", type=int, default=5)
    arguments = parser.parse_args()
    pictures = [look_at(path) for path in arguments.pictures or [DEMO]]
    print(f"{'C':>6} {'density':>9} {'strength':>9} {'time':>9}")
    print(f"{'paper':>6} {PAPER[0]:9.3f} {PAPER[1]:9.3f} {PAPER[2]:9.3f}   (C = 0.7, its own network and music)")
    for c in (0.0, 0.3, 0.7, 1.0):
        options = ComposeOptions(density_control=(c,), beat_control=(c,))
        density: list[float] = []
        strength: list[float] = []
        time: list[float] = []
        for picture in pictures:
            for score in score_picture(picture, options, model=arguments.model, variations=arguments.takes):
                bars, beats, end = errors(score, picture.control)
                density += bars
                strength += beats
                time.append(end)
        print(f"{c:6.1f} {np.mean(density):9.3f} {np.mean(strength):9.3f} {np.mean(time):9.3f}")


if __name__ == "__main__":
    main()
