"""JSON files: scores, and video metadata."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from cmt_bridge.core.files import complete_path
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

MAX_FILE_BYTES = 64 * 2**20
MAX_TICK = 2**20  # 65,536 bars; a delta time of a MIDI file holds 2**28 MIDI ticks


@takes_paths
def read_json(path: Path) -> Any:
    """Read a JSON file. Raises `ScoreError` where it cannot be read, is too large or is no JSON."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ScoreError(
            f"Cannot read {path}: {error.strerror}.", hint="Check the path and its permissions."
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise ScoreError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MB.", hint="Give a score or metadata file.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
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
    """Give the score file of a score folder, or `path` itself where it is a file.

    Raises `ScoreError` where the folder holds none.
    """
    if not path.is_dir():
        return path
    if not (path / SCORE_NAME).is_file():
        raise ScoreError(f"{path} holds no {SCORE_NAME}.", hint="Give the folder that `score` wrote.")
    return path / SCORE_NAME


@takes_paths
def read_score(path: Path) -> Score:
    """Read a score.json, or that of a score folder. Raises `ScoreError` where it is none or holds impossible values."""
    path = find_score(path)
    try:
        score = Score.from_json(read_json(path), source=str(path))
    except OverflowError as error:
        raise ScoreError(f"{path} is damaged: {error}.", hint="Write it anew with `score`.") from error
    fault = _fault(score)
    if fault:
        raise ScoreError(f"{path} is damaged: {fault}.", hint="Write it anew with `score`.")
    return score


def _fault(score: Score) -> str:
    """Say what a MIDI file could not hold, or nothing."""
    if not 0 <= score.bars * 16 <= MAX_TICK:
        return f"{score.bars} bars"
    if not (math.isfinite(score.duration) and score.duration >= 0):
        return f"a duration of {score.duration} s"
    for change in score.tempo_map.changes:
        if not (0 < change.uspq <= MAX_USPQ and change.tick <= MAX_TICK):
            return f"a tempo of {change.uspq} µs per quarter at tick {change.tick}"
    longest = score.tempo_map.seconds(MAX_TICK)
    for marker in score.markers:
        if not (math.isfinite(marker.seconds) and marker.seconds <= longest):
            return f"a marker at {marker.seconds} s"
    for track in score.tracks:
        if not 0 <= track.program <= 127:
            return f"program {track.program}"
        for n in track.notes:
            if not (0 <= n.onset <= n.end <= MAX_TICK and 0 <= n.pitch <= 127 and 1 <= n.velocity <= 127):
                return f"the note {[n.onset, n.pitch, n.duration, n.velocity]}"
    return ""


@takes_paths
def write_score(score: Score, path: Path) -> None:
    """Write a score as JSON. Raises `OutputError` where it cannot be written."""
    write_json(score.to_json(), path)


@takes_paths
def read_metadata(path: Path) -> VideoMetadata:
    """Read a metadata.json, ours or the original's. Raises `ScoreError` where it is none."""
    return VideoMetadata.from_json(read_json(path), source=str(path))
