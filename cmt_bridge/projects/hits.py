"""Lists of hit points: a table for a spreadsheet, and a CMX 3600 list of shots for an editor."""

from __future__ import annotations

import csv
import io
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Final
from unicodedata import category

from cmt_bridge.core.markers import plain
from cmt_bridge.core.timecode import LABELLED, Rate, Timecode
from cmt_bridge.errors import InputError
from cmt_bridge.projects.arrangement import Arrangement

__all__ = ["hits_csv", "hits_edl"]

COLUMNS: Final = (
    "number",
    "kind",
    "name",
    "seconds",
    "timecode",
    "frame",
    "bar",
    "beat",
    "tick",
    "file_seconds",
    "source",
)
COLOURS: Final = {"cut": "RED", "beat": "YELLOW", "section": "CYAN"}
REEL: Final = "AX"  # what is no tape, in eight letters
BREAKING: Final = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of pairs, ends of lines and paragraphs


def hits_csv(arrangement: Arrangement) -> str:
    """Return cuts, hits and sections as a table with a head, in the order of time.

    Seconds and frames count from the first picture, `timecode` from the session's start, `source` as the film counts
    itself; two digits hold no frame 100, so labels of a film of 120 frames a second count every second one. Frames and
    labels are empty where the rate is not known. Bars and beats count from 1, ticks from 0 at `arrangement.division`
    per quarter. `file_seconds` count from the beginning of the video file, whose picture may begin later.
    """
    counting = arrangement.counting
    labels = counting.fitted(LABELLED)
    offset = float(arrangement.offset)
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(COLUMNS)
    for number, (seconds, kind, name) in enumerate(_hits(arrangement), 1):
        counts = (
            str(round(Fraction(seconds) * counting.pictures)),
            _label(labels.start, seconds),
            _label(labels.own, seconds),
        )
        frame, label, source = counts if counting.is_known else ("", "", "")
        bar, beat, tick = _place(arrangement, round(arrangement.ticks(seconds)))
        row = [number, kind, name, f"{seconds:.6f}", label, frame, bar, beat, tick, f"{seconds + offset:.6f}", source]
        table.writerow(row)
    return buffer.getvalue()


def hits_edl(arrangement: Arrangement, film: str | None) -> str:
    """Return the shots between cuts as events, with a locator for each hit and section.

    Sources are labelled as the film counts itself, records as the session does; two digits hold no frame 100, so a film
    of 120 frames a second counts every second one. A locator's label is written with `:` in drop frame too: what it
    means is said by the list's FCM, and readers look for no `;` there. Text is what all systems read, ASCII, but for
    names of files.

    Raises `InputError` where the film's frame rate is not known, without which there is no timecode.
    """
    labels = arrangement.counting.fitted(LABELLED)
    frames, own = labels.rate, labels.own
    if not labels.is_known:
        raise InputError(
            f"The frame rate of {arrangement.title} is not known, and an EDL counts in frames.",
            hint="Say it by --rate, or score the video itself.",
        )
    offset, begin = labels.start.count, own.count
    lines = [f"TITLE: {_line(arrangement.title)}", f"FCM: {'' if frames.drop else 'NON-'}DROP FRAME", ""]
    locators = [(frames.number(seconds), kind, name) for seconds, kind, name in _hits(arrangement)]
    shots = _shots(arrangement, frames)
    for number, (first, last) in enumerate(shots, 1):
        source = f"{own.rate.label(begin + first)} {own.rate.label(begin + last)}"
        record = f"{frames.label(offset + first)} {frames.label(offset + last)}"
        lines.append(f"{number:03}  {REEL:<8} V     C        {source} {record}")
        if film is not None:
            lines.append(f"* FROM CLIP NAME: {_line(film.rpartition('/')[2])}")
        for frame, kind, name in locators:
            if first <= frame < last or (frame >= last and number == len(shots)):
                label = str(frames.label(offset + min(frame, last - 1))).replace(";", ":")
                lines.append(f"* LOC: {label} {COLOURS.get(kind, 'WHITE'):<7} {_line(plain(name))}")
        lines.append("")
    return "\n".join(lines)


def _label(first: Timecode, seconds: float) -> str:
    """Return the label of a time after the first picture."""
    return str(first.rate.label(first.count + first.rate.number(seconds)))


def _hits(arrangement: Arrangement) -> list[tuple[float, str, str]]:
    marks = [(mark.seconds, mark.kind, mark.text) for mark in arrangement.markers]
    return sorted([*marks, *((span.start, "section", span.name) for span in arrangement.sections)])


def _shots(arrangement: Arrangement, frames: Rate) -> list[tuple[int, int]]:
    end = max(1, frames.number(arrangement.duration))
    cuts = {frames.number(mark.seconds) for mark in arrangement.markers if mark.kind == "cut"}
    return list(pairwise([0, *sorted(cut for cut in cuts if 0 < cut < end), end]))


def _place(arrangement: Arrangement, tick: int) -> tuple[int, int, int]:
    """Return bar and beat, from 1, and ticks since that beat."""
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
    """Return a text without what would end its line: a name stays that of its file, by which editors find it."""
    return "".join(" " if category(letter) in BREAKING else letter for letter in text)
