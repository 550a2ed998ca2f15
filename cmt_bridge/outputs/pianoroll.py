"""Piano rolls as SVG, for notebooks."""

from __future__ import annotations

from html import escape
from typing import Final

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.score import Score, Track
from cmt_bridge.core.tempo import TICKS_PER_BAR

__all__ = ["piano_roll"]

WIDTH: Final = 900  # pixels, of the music
NAMES: Final = 64  # … of the names of tracks
TOP: Final = 38
LANE: Final = 64  # height of a track
MOST_LINES: Final = 200  # bar lines
COLOURS: Final = {
    Instrument.DRUMS: "#6b7a86",
    Instrument.PIANO: "#0b5394",
    Instrument.GUITAR: "#b8651b",
    Instrument.BASS: "#7b3fa0",
    Instrument.STRINGS: "#2a7d5f",
}
CUT: Final = "#d1495b"


def piano_roll(score: Score) -> str:
    """Return an SVG element that shows a score: a lane for each track, bar lines, and cuts as dashed lines."""
    ticks = max(1, score.ticks)
    height = TOP + LANE * len(score.tracks) + 6
    scale = WIDTH / ticks
    bpm = score.tempo_map.bpm_at(0)
    shapes = [
        f'<text x="4" y="14" font-weight="bold">{escape(score.title)}</text>'
        f'<text x="{NAMES + WIDTH}" y="14" text-anchor="end">{bpm:.2f} BPM · {score.bars} bars</text>'
    ]
    step = next(step for step in (1, 2, 4, 8, 16, 32, 64, 1 << 20) if score.bars / step <= MOST_LINES)
    apart = next((n for n in (step, *(step * k for k in (2, 4, 8, 16, 32, 64))) if n * TICKS_PER_BAR * scale >= 24), 0)
    for bar in range(0, score.bars + 1, step):
        x = NAMES + bar * TICKS_PER_BAR * scale
        shapes.append(f'<path d="M{x:.1f} {TOP}V{height - 6}" stroke="#d5dade"/>')
        if apart and bar % apart == 0 and bar < score.bars:
            shapes.append(f'<text x="{x + 2:.1f}" y="{TOP - 4}" fill="#6b7a86">{bar + 1}</text>')
    shapes += [_lane(track, TOP + LANE * number, scale) for number, track in enumerate(score.tracks)]
    for marker in score.markers:
        if marker.kind == "cut":
            x = NAMES + float(score.tempo_map.ticks(marker.seconds)) * scale
            title = escape(f"{marker.text}, {marker.seconds:.2f} s")
            shapes.append(
                f'<path d="M{x:.1f} {TOP}V{height - 6}" stroke="{CUT}" stroke-dasharray="4 3" stroke-width="1.5">'
                f"<title>{title}</title></path>"
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {NAMES + WIDTH + 8} {height}" width="100%" '
        f'style="max-width:{NAMES + WIDTH + 8}px;background:#fff" font-family="sans-serif" font-size="11" '
        f'role="img" aria-label="Piano roll of {escape(score.title)}">{"".join(shapes)}</svg>'
    )


def _lane(track: Track, top: int, scale: float) -> str:
    """Return the notes of a track, from its lowest pitch to its highest; one path, so that long pieces stay small."""
    colour = COLOURS[track.instrument]
    shapes = [
        f'<path d="M{NAMES} {top + LANE}h{WIDTH}" stroke="#b5c0c8"/>'
        f'<text x="4" y="{top + LANE / 2 + 4:.0f}" fill="{colour}">{escape(track.name)}</text>'
    ]
    if track.notes:
        low, high = min(n.pitch for n in track.notes), max(n.pitch for n in track.notes)
        row = (LANE - 10) / max(12, high - low + 1)
        lines = []
        for note in track.notes:
            y = top + LANE - 5 - (note.pitch - low + 0.5) * row
            lines.append(f"M{NAMES + note.onset * scale:.1f} {y:.1f}h{max(1.0, note.duration * scale - 0.6):.1f}")
        shapes.append(f'<path d="{"".join(lines)}" stroke="{colour}" stroke-width="{max(1.5, row):.1f}"/>')
    return "".join(shapes)
