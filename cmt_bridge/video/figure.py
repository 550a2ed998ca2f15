"""Draw what was found in a video, after the paper's figure 2: pictures, motion, visual beats and cuts over time."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.tempo import BEATS_PER_BAR
from cmt_bridge.video.beats import Curve, even_directogram, prominence, saliency
from cmt_bridge.video.measurement import Measurement

__all__ = ["draw", "figure_of"]

WIDTH: Final = 14.0  # inches
HEIGHT: Final = 7.6
PANELS: Final = (1.05, 2.6, 2.2)  # relative heights: pictures, motion, visual beats
GAP: Final = 0.07  # between panels, in panel heights
LEFT, RIGHT, BOTTOM, TOP = 0.062, 0.985, 0.085, 0.885  # of the figure
DOTS: Final = 150  # per inch
COLUMNS: Final = 1600  # points of a curve; of longer ones the highest are drawn
MOST_PICTURES: Final = 24
LONGEST_NAME: Final = 48  # characters
FEW_BARS: Final = 120  # bar lines are drawn up to this many

INK: Final = "#22303c"
SOFT: Final = "#6b7a86"
GRID: Final = "#e4e8eb"
MOTION: Final = "#7fb2d9"
BAR: Final = "#0b5394"
BEAT: Final = "#d1495b"
CUT: Final = "#2a9d6f"


@takes_paths
def draw(measurement: Measurement, metadata: VideoMetadata, path: Path) -> None:
    """Write the figure of `figure_of` to `path`; its suffix chooses the format."""
    figure = figure_of(measurement, metadata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name may hold letters that the font lacks
        figure.savefig(path)


def figure_of(measurement: Measurement, metadata: VideoMetadata) -> Any:
    """Return a `matplotlib.figure.Figure` of what was found in a video.

    Above, pictures of the video; then motion speed per frame and per bar; then motion saliency with the visual beats
    that were chosen, as high as their weight. Cuts go through all of it.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DOTS, facecolor="white")
    strip, motion, beats = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": PANELS, "hspace": GAP})
    figure.subplots_adjust(left=LEFT, right=RIGHT, top=TOP, bottom=BOTTOM)
    _draw_pictures(strip, measurement)
    _draw_motion(motion, measurement, metadata)
    _draw_beats(beats, measurement, metadata)
    _draw_cuts((strip, motion, beats), metadata)
    strip.set_xlim(0.0, metadata.duration)
    in_minutes = metadata.duration >= 60
    beats.xaxis.set_major_formatter(lambda x, _: f"{int(x) // 60}:{x % 60:02.0f}" if in_minutes else f"{x:g}")
    beats.set_xlabel("Time (min:s)" if in_minutes else "Time (s)", color=INK)
    _draw_title(figure, metadata)
    _draw_legend(figure, (motion, beats))
    return figure


def _draw_title(figure: Any, metadata: VideoMetadata) -> None:
    source = metadata.source
    name = source.name if len(source.name) <= LONGEST_NAME else source.name[: LONGEST_NAME - 1] + "…"
    figure.text(LEFT, 0.955, name, fontsize=15, weight="bold", color=INK, va="center", parse_math=False)
    found = (
        f"{metadata.tempo:.2f} BPM ({metadata.tempo_source})   ·   {len(metadata.flow_per_bar)} bars   ·   "
        f"{len(metadata.beats)} visual beats   ·   {len(metadata.cuts)} cuts   ·   {source.width}×{source.height}, "
        f"{source.frame_rate[0] / source.frame_rate[1]:.5g} fps"
    )
    figure.text(LEFT, 0.917, found, fontsize=10.5, color=SOFT, va="center", parse_math=False)


def _draw_pictures(axes: Any, measurement: Measurement) -> None:
    """Fill the strip with pictures, each at the time it starts."""
    source, duration = measurement.source, measurement.duration
    seconds = measurement.preview_pts * float(measurement.time_base)
    wide = WIDTH * (RIGHT - LEFT)
    high = HEIGHT * (TOP - BOTTOM) * PANELS[0] / (sum(PANELS) * (1.0 + GAP * 2 / 3))
    picture = high * source.width / source.height
    count = int(np.clip(round(wide / picture), 1, MOST_PICTURES))
    slot = duration / count
    inside = min(0.985, picture * count / wide)
    for k in range(count):
        index = int(np.argmin(np.abs(seconds - (k + 0.5) * slot)))
        left = k * slot + (1.0 - inside) / 2 * slot
        axes.imshow(
            measurement.previews[index],
            extent=(left, left + inside * slot, 0.0, 1.0),
            aspect="auto",
            interpolation="bilinear",
            zorder=1,
        )
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([])
    axes.tick_params(bottom=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_motion(axes: Any, measurement: Measurement, metadata: VideoMetadata) -> None:
    lasted = np.diff(measurement.seconds, prepend=0.0)
    speed: Curve = (
        measurement.speed.astype(np.float64) * measurement.nominal / np.maximum(lasted, measurement.nominal / 2)
    )
    seconds, highest = _thinned(measurement.seconds, speed)
    axes.fill_between(seconds, highest, step="pre", color=MOTION, alpha=0.35, linewidth=0, label="motion per frame")
    if len(measurement.pts) <= COLUMNS:
        axes.step(seconds, highest, where="pre", color=MOTION, linewidth=0.8)
    bar = BEATS_PER_BAR * 60.0 / metadata.tempo
    edges = np.minimum(np.arange(len(metadata.flow_per_bar) + 1) * bar, metadata.duration)
    axes.stairs(metadata.flow_per_bar, edges, color=BAR, linewidth=2.0, baseline=None, label="motion per bar", zorder=4)
    top = max(float(np.percentile(speed, 97)), 1.15 * max(metadata.flow_per_bar), 0.05)
    axes.set_ylim(0.0, top * 1.12)
    axes.set_ylabel("Motion speed\n(pixels per frame)", color=INK)
    _dress(axes, metadata)


def _draw_beats(axes: Any, measurement: Measurement, metadata: VideoMetadata) -> None:
    step = measurement.nominal
    even = even_directogram(measurement.seconds, measurement.directogram, step, measurement.duration)
    curve = prominence(saliency(even, step), step)
    if curve.max(initial=0.0) > 0.0:
        times = (np.arange(len(curve)) + 1) * step
        seconds, highest = _thinned(times, curve / curve.max())
        axes.fill_between(seconds, highest, color=BEAT, alpha=0.16, linewidth=0, label="motion saliency")
    if metadata.beats:
        times = np.array([beat.seconds for beat in metadata.beats])
        weights = np.array([beat.weight for beat in metadata.beats])
        crowded = len(times) > 250
        axes.vlines(times, 0.0, weights, color=BEAT, linewidth=0.6 if crowded else 1.3, alpha=0.85, zorder=3)
        size = 6 if crowded else 12 + 26 * weights
        dots = {"color": BEAT, "edgecolor": "white", "linewidth": 0.5, "label": "visual beat"}
        axes.scatter(times, weights, s=size, zorder=4, **dots)
    axes.set_ylim(0.0, 1.13)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    axes.set_ylabel("Visual beats\n(weight)", color=INK)
    _dress(axes, metadata)


def _draw_cuts(panels: tuple[Any, ...], metadata: VideoMetadata) -> None:
    for number, axes in enumerate(panels):
        for index, cut in enumerate(metadata.cuts):
            label = "cut" if number == 1 and index == 0 else None
            width = 1.3 if number else 2.0
            axes.axvline(cut.seconds, color=CUT, linewidth=width, linestyle=(0, (4, 2)), zorder=5, label=label)


def _draw_legend(figure: Any, panels: tuple[Any, ...]) -> None:
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(
        found.values(), found.keys(), loc="center right", bbox_to_anchor=(RIGHT + 0.005, 0.957), ncols=5,
        frameon=False, fontsize=9.5, labelcolor=INK, columnspacing=1.4, handlelength=1.6,
    )  # fmt: skip


def _dress(axes: Any, metadata: VideoMetadata) -> None:
    """Give a panel its grid and bar lines."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b5c0c8")
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    bar = BEATS_PER_BAR * 60.0 / metadata.tempo
    if len(metadata.flow_per_bar) <= FEW_BARS:
        for number in range(1, len(metadata.flow_per_bar)):
            axes.axvline(number * bar, color=GRID, linewidth=0.8, zorder=0)


def _thinned(seconds: npt.NDArray[Any], values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the time and the highest value of at most COLUMNS groups of samples."""
    starts = np.arange(0, len(values), -(-len(values) // COLUMNS))
    return seconds[starts], np.maximum.reduceat(values, starts)
