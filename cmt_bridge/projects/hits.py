"""Lists of hit points: a table for a spreadsheet, and a CMX 3600 list of shots for an editor."""

from __future__ import annotations

import csv
import io
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Final
from unicodedata import category

from cmt_bridge.errors import InputError
from cmt_bridge.projects.arrangement import Arrangement
from cmt_bridge.projects.frames import Frames, frames_of

__all__ = ["hits_csv", "hits_edl"]

COLUMNS: Final = ("number", "kind", "name", "seconds", "timecode", "frame", "bar", "beat", "tick", "file_seconds")
COLOURS: Final = {"cut": "RED", "beat": "YELLOW", "section": "CYAN"}
REEL: Final = "AX"  # what is no tape, in eight letters
FASTEST: Final = 60  # what timecode counts to: two digits hold no frame 100
BREAKING: Final = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of pairs, ends of lines and paragraphs


def hits_csv(arrangement: Arrangement) -> str:
    """Give cuts, hits and sections as a table with a head, in the order of time.

    Seconds and frames count from the first picture, timecode from the arrangement's start, where more than 60 frames a
    second are counted in every second or third; frames and timecode are empty where the rate is not known. Bars and
    beats count from 1, ticks from 0 at `arrangement.division` per quarter. `file_seconds`
    count from the beginning of the video file, whose picture may begin later.
    """
    frames, counted = frames_of(arrangement.frame_rate), _counted(arrangement.frame_rate)
    offset = float(arrangement.offset)
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(COLUMNS)
    for number, (seconds, kind, name) in enumerate(_hits(arrangement), 1):
        frame = frames.number(seconds) if frames else ""
        label = counted.label(counted.first(arrangement.start) + counted.number(seconds)) if counted else ""
        bar, beat, tick = _place(arrangement, round(arrangement.ticks(seconds)))
        table.writerow([number, kind, name, f"{seconds:.6f}", label, frame, bar, beat, tick, f"{seconds + offset:.6f}"])
    return buffer.getvalue()


def hits_edl(arrangement: Arrangement, film: str | None) -> str:
    """Give the shots between cuts as events, with a locator for each hit and section.

    Raises `InputError` where the film's frame rate is not known, without which there is no timecode.
    """
    frames = _counted(arrangement.frame_rate)
    if frames is None:
        raise InputError(
            f"The frame rate of {arrangement.title} is not known, and an EDL counts in frames.",
            hint="Score the video itself, or export csv.",
        )
    offset = frames.first(arrangement.start)
    begin = frames.number(arrangement.offset)  # of the picture in its file
    lines = [f"TITLE: {_line(arrangement.title)}", f"FCM: {'' if frames.drop else 'NON-'}DROP FRAME", ""]
    locators = [(frames.number(seconds), kind, name) for seconds, kind, name in _hits(arrangement)]
    shots = _shots(arrangement, frames)
    for number, (first, last) in enumerate(shots, 1):
        source = f"{frames.label(begin + first)} {frames.label(begin + last)}"
        record = f"{frames.label(offset + first)} {frames.label(offset + last)}"
        lines.append(f"{number:03}  {REEL:<8} V     C        {source} {record}")
        if film is not None:
            lines.append(f"* FROM CLIP NAME: {_line(film.rpartition('/')[2])}")
        for frame, kind, name in locators:
            if first <= frame < last or (frame >= last and number == len(shots)):
                label = frames.label(offset + min(frame, last - 1))
                lines.append(f"* LOC: {label} {COLOURS.get(kind, 'WHITE'):<7} {_line(name)}")
        lines.append("")
    return "\n".join(lines)


def _counted(frame_rate: tuple[int, int]) -> Frames | None:
    """Give how timecode counts a film: at 120 frames a second every second one, since 60 is the most it can say."""
    frames = frames_of(frame_rate)
    if frames is None or frames.base <= FASTEST:
        return frames
    numerator, denominator = frame_rate
    return frames_of((numerator, denominator * ceil(frames.base / FASTEST)))


def _hits(arrangement: Arrangement) -> list[tuple[float, str, str]]:
    marks = [(mark.seconds, mark.kind, mark.text) for mark in arrangement.markers]
    return sorted([*marks, *((span.start, "section", span.name) for span in arrangement.sections)])


def _shots(arrangement: Arrangement, frames: Frames) -> list[tuple[int, int]]:
    end = max(1, frames.number(arrangement.duration))
    cuts = {frames.number(mark.seconds) for mark in arrangement.markers if mark.kind == "cut"}
    return list(pairwise([0, *sorted(cut for cut in cuts if 0 < cut < end), end]))


def _place(arrangement: Arrangement, tick: int) -> tuple[int, int, int]:
    """Give bar and beat, from 1, and ticks since that beat."""
    bars, begin = 0, 0
    per_beat = per_bar = Fraction(1)
    for start, numerator, denominator in arrangement.version.metres:
        if start > tick:
            break
        bars += ceil((start - begin) / per_bar)  # a metre begins a bar
        begin, per_beat = start, Fraction(arrangement.division * 4, denominator)
        per_bar = per_beat * numerator
    whole, rest = divmod(tick - begin, per_bar)
    beat, ticks = divmod(rest, per_beat)
    return bars + int(whole) + 1, int(beat) + 1, int(ticks)


def _line(text: str) -> str:
    """Give a text without what would end its line: a name stays that of its file, by which editors find it."""
    return "".join(" " if category(letter) in BREAKING else letter for letter in text)
