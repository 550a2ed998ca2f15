"""OpenTimelineIO: the film as shots between its cuts, with markers for cuts, hits and sections.

The JSON is written here and not by the OpenTimelineIO package: it is a few plain objects, and the package comes
compiled, for some versions of Python only. The tests read it with the package.
"""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote

from cmt_bridge.core.timecode import Rate
from cmt_bridge.projects.arrangement import Arrangement

__all__ = ["timeline_text"]

COLOURS: Final = {"cut": "RED", "beat": "YELLOW", "section": "CYAN"}
MILLISECONDS: Final = Rate(Fraction(1000), 1000)

Json = dict[str, Any]


def timeline_text(arrangement: Arrangement, film: str | None) -> str:
    """Return the timeline; `film` is the path of the video from where the timeline lies, with `/`.

    Times are frames of the film, milliseconds where its rate is not known. Those of its file count from the timecode
    that the film gives itself, those of the session from the one where it begins there.
    """
    counting = arrangement.counting
    frames = counting.rate if counting.is_known else MILLISECONDS
    end = max(1, frames.number(arrangement.duration))
    offset = frames.number(arrangement.offset)  # of the picture in its file
    begin, start = offset, frames.number(counting.start.time)
    if counting.is_known:
        begin, start = counting.own.count, counting.start.count
    there = begin - offset, begin + end
    cuts = {frames.number(mark.seconds) for mark in arrangement.markers if mark.kind == "cut"}
    shots = list(pairwise([0, *sorted(cut for cut in cuts if 0 < cut < end), end]))
    track = {
        **_named("Track.1", "Video"),
        "kind": "Video",
        "source_range": None,
        "enabled": True,
        "children": [_shot(frames, number, shot, film, begin, there) for number, shot in enumerate(shots, 1)],
    }
    markers = [_marker(frames, mark.text, mark.kind, mark.seconds, mark.seconds) for mark in arrangement.markers]
    markers += [_marker(frames, span.name, "section", span.start, span.end) for span in arrangement.sections]
    stack = {
        **_named("Stack.1", "tracks"),
        "source_range": None,
        "enabled": True,
        "markers": sorted(markers, key=lambda each: float(each["marked_range"]["start_time"]["value"])),
        "children": [track],
    }
    timeline = {
        **_named("Timeline.1", arrangement.title),
        "global_start_time": _time(frames, start),
        "tracks": stack,
    }
    del timeline["effects"], timeline["markers"]
    return json.dumps(timeline, indent=2, ensure_ascii=False) + "\n"


def _named(schema: str, name: str) -> Json:
    return {"OTIO_SCHEMA": schema, "name": name, "metadata": {}, "effects": [], "markers": []}


def _time(frames: Rate, number: int) -> Json:
    return {"OTIO_SCHEMA": "RationalTime.1", "rate": float(frames.frames), "value": float(number)}


def _range(frames: Rate, first: int, last: int) -> Json:
    return {
        "OTIO_SCHEMA": "TimeRange.1",
        "start_time": _time(frames, first),
        "duration": _time(frames, last - first),
    }


def _shot(
    frames: Rate, number: int, shot: tuple[int, int], film: str | None, begin: int, there: tuple[int, int]
) -> Json:
    media: Json = {"OTIO_SCHEMA": "MissingReference.1", "name": "", "metadata": {}, "available_range": None}
    if film is not None:
        media |= {
            "OTIO_SCHEMA": "ExternalReference.1",
            "target_url": quote(film, errors="surrogateescape"),
            "available_range": _range(frames, *there),
        }
    return {
        **_named("Clip.1", f"Shot {number}"),
        "enabled": True,
        "source_range": _range(frames, begin + shot[0], begin + shot[1]),
        "media_reference": media,
    }


def _marker(frames: Rate, name: str, kind: str, start: float, end: float) -> Json:
    return {
        "OTIO_SCHEMA": "Marker.2",
        "name": name,
        "color": COLOURS.get(kind, "WHITE"),
        "marked_range": _range(frames, frames.number(start), frames.number(end)),
        "metadata": {"cmt-bridge": {"kind": kind, "seconds": start}},
    }
