"""JSON files: scores, and video metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cmt_bridge.core.bounds import (
    BARS,
    CHANGES,
    FILM,
    FRAME_RATE,
    JSON_BYTES,
    LENGTH,
    MARKS,
    TEXT,
    BoundsError,
    read_json_bytes,
)
from cmt_bridge.core.files import complete_path, is_there, read_at_most
from cmt_bridge.core.metadata import VideoMetadata
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.core.score import Score
from cmt_bridge.core.tempo import MAX_USPQ
from cmt_bridge.errors import ScoreError

__all__ = [
    "METADATA_NAME",
    "SCORE_NAME",
    "find_score",
    "read_json",
    "read_metadata",
    "read_score",
    "write_json",
    "write_score",
]

SCORE_NAME = "score.json"
METADATA_NAME = "metadata.json"
"""The names of a score and of what it was composed for in a score folder."""

INNERMOST = re.compile(r"\[\n([^\[\]{}\"]*)\n\s*\]")
"""A list of plain numbers, laid out over lines; no string holds a line break as such."""


@takes_paths
def read_json(path: Path) -> Any:
    """Read a JSON file. Raises `ScoreError` where it cannot be read, is out of bounds or is no JSON."""
    try:
        data = read_at_most(path, JSON_BYTES)
    except OSError as error:
        raise ScoreError(
            f"Cannot read {path}: {error.strerror}.", hint="Check the path and its permissions."
        ) from error
    try:
        return read_json_bytes(data)
    except BoundsError as error:
        raise ScoreError(f"{path} is damaged: {error}.", hint="Give the file as cmt-bridge wrote it.") from error
    except ValueError as error:
        raise ScoreError(f"{path} is not valid JSON.", hint="Give the file as cmt-bridge wrote it.") from error


@takes_paths
def write_json(data: Any, path: Path) -> None:
    """Write data as JSON, one line per note or like list, complete or not at all.

    Raises `OutputError` where it cannot be written.
    """
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    text = INNERMOST.sub(lambda match: f"[{' '.join(match[1].split())}]", text)
    with complete_path(path) as temporary:
        temporary.write_bytes(text.encode())


@takes_paths
def find_score(path: Path) -> Path:
    """Return the score file of a score folder, or `path` itself where it is a file.

    Raises `ScoreError` where the folder holds none.
    """
    if not path.is_dir():
        return path
    if not is_there(path / SCORE_NAME):
        raise ScoreError(f"{path} holds no {SCORE_NAME}.", hint="Give the folder that `score` wrote.")
    return path / SCORE_NAME


@takes_paths
def read_score(path: Path) -> Score:
    """Read a score.json, or that of a score folder. Raises `ScoreError` where it is none or holds impossible values."""
    path = find_score(path)
    score = Score.from_json(read_json(path), source=str(path))
    fault = _fault(score)
    if fault:
        raise ScoreError(f"{path} is damaged: {fault}.", hint="Write it anew with `score`.")
    return score


def _fault(score: Score) -> str:
    """Return what no score can have, or nothing."""
    if BARS.fault(max(1, score.bars)) or score.bars < 0:
        return f"{score.bars} bars"
    if FILM.fault(score.duration):
        return f"a duration of {score.duration:g} s"
    if fault := CHANGES.fault(len(score.tempo_map.changes)) or MARKS.fault(len(score.markers)):
        return fault
    if score.frame_rate[0] and (
        score.frame_rate[1] <= 0 or FRAME_RATE.fault(score.frame_rate[0] / score.frame_rate[1])
    ):
        return "an impossible frame rate"
    for change in score.tempo_map.changes:
        if not 0 < change.uspq <= MAX_USPQ or LENGTH.fault(change.tick):
            return f"a tempo of {change.uspq} µs per quarter at tick {change.tick}"
    longest = score.tempo_map.seconds(int(LENGTH.most))
    for marker in score.markers:
        if not -FILM.most <= marker.seconds <= longest:
            return f"a marker at {marker.seconds:g} s"
    if fault := next(filter(None, (TEXT.fault(len(each)) for each in _texts(score))), ""):
        return fault
    for track in score.tracks:
        if not 0 <= track.program <= 127:
            return f"program {track.program}"
        for n in track.notes:
            if not (0 <= n.onset <= n.end <= LENGTH.most and 0 <= n.pitch <= 127 and 1 <= n.velocity <= 127):
                return f"the note {[n.onset, n.pitch, n.duration, n.velocity]}"
    return ""


def _texts(score: Score) -> Iterator[str]:
    made = score.provenance
    yield from (score.title, made.version, made.model, made.model_sha256, made.video, made.video_sha256)
    yield from (text for marker in score.markers for text in (marker.kind, marker.text))


@takes_paths
def write_score(score: Score, path: Path) -> None:
    """Write a score as JSON. Raises `OutputError` where it cannot be written."""
    write_json(score.to_json(), path)


@takes_paths
def read_metadata(path: Path) -> VideoMetadata:
    """Read a metadata.json, ours or the original's. Raises `ScoreError` where it is none."""
    return VideoMetadata.from_json(read_json(path), source=str(path))
