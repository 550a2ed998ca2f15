"""Clips to score: as many as are wanted, each different."""

from __future__ import annotations

import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av

from cmt_bridge.core.files import sha256_of

__all__ = ["QUICK", "SLOW", "Clips"]

SIZE = (160, 90)
KEPT_FRAMES = 200  # of each source
QUICK, SLOW = (12, 8), (240, 5)  # frames and frames a second: scored in half a second, and in many


class Clips:
    """Makes clips out of the pictures of real ones: those in a folder, or one.

    `bad` are the files in the folder's own folder of that name, which may or may not be videos.
    """

    def __init__(self, source: Path) -> None:
        bad = source / "bad"
        self.bad = sorted(bad.iterdir()) if bad.is_dir() else []
        files = sorted(f for f in source.iterdir() if f.is_file()) if source.is_dir() else [source]
        self._sources = [frames for file in files if (frames := _frames(file))]
        self._next = 0
        if not self._sources:
            sys.exit(f"no clips in {source}")

    def make(self, path: Path, shape: tuple[int, int] = QUICK) -> str:
        """Write a clip of so many frames, at so many a second; give the hash of its content."""
        frames, rate = shape
        number, self._next = self._next, self._next + 1
        source = self._sources[number % len(self._sources)]
        start = number // len(self._sources) * 5
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            container.metadata["title"] = f"clip {number}"
            stream = container.add_stream("mpeg4", rate=rate)
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *SIZE, "yuv420p", 200_000
            for k in range(frames):
                frame = source[(start + k) % len(source)]
                frame.pts, frame.time_base = k, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return sha256_of(path)


def _frames(file: Path) -> list[av.VideoFrame]:
    found: list[av.VideoFrame] = []
    with suppress(av.FFmpegError, IndexError), av.open(str(file), metadata_errors="replace") as container:
        for frame in container.decode(video=0):
            found.append(frame.reformat(*SIZE, "yuv420p"))
            found[-1].pict_type = 0
            if len(found) == KEPT_FRAMES:
                break
    return found
