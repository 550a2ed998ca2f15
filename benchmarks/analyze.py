"""Show that `analyze` takes the same memory for an hour as for a minute, and how long it takes.

    python benchmarks/analyze.py                      one hour at 4 frames per second, made here
    python benchmarks/analyze.py clip.mp4             the clip, over and over, for an hour
    python benchmarks/analyze.py clip.mp4 --minutes 0 the clip as it is

The limit is 500 MB of resident memory. `Python` is what an interpreter takes that has only loaded the libraries.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

LIMIT_MB = 500
LOADED = "import cmt_bridge.cli.analyze, cmt_bridge.video.analysis, cmt_bridge.video.cache"
ANALYZE = "from cmt_bridge.cli.analyze import analyze; analyze()"


def make_clip(path: Path, rate: Fraction, seconds: int = 20) -> Path:
    """Write a clip in which soft shapes move, with a cut every five seconds."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 640, 360, "yuv420p", 2_000_000
        for k in range(int(seconds * rate)):
            if k % int(5 * rate) == 0:
                coarse = rng.integers(0, 256, (24, 42, 3), dtype=np.uint8)
                texture = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
            picture = np.roll(texture, (k % 7, 6 * k), (0, 1))[:360, :640]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def loop(clip: Path, target: Path, seconds: float) -> None:
    """Copy the picture of a clip over and over, without coding it again."""
    with av.open(str(target), "w") as out:
        stream, shift, length, base = None, 0, 0, Fraction(1)
        while stream is None or shift * base < seconds:
            with av.open(str(clip), metadata_errors="replace") as source:
                given = source.streams.best("video")
                base = given.time_base
                if stream is None:
                    stream = out.add_stream_from_template(given)
                for packet in source.demux(given):
                    if packet.dts is None:
                        continue
                    length = max(length, packet.pts + (packet.duration or 1))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    out.mux(packet)
            shift += length


def peak(arguments: list[str], folder: Path) -> tuple[float, float]:
    """Run Python; give its peak resident memory in MB and the seconds it took."""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments], env={**os.environ, "CMT_BRIDGE_CACHE": str(folder)}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{arguments} ended with {process.returncode}")
    return usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2), time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0, help="length to loop the clip to; 0 takes it as it is")
    parser.add_argument("--rate", type=Fraction, default=Fraction(4), help="frames per second, where no clip is given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = given.clip or make_clip(folder / "made.mp4", given.rate)
        long = folder / f"long{clip.suffix}"
        if given.minutes > 0:
            loop(clip, long, given.minutes * 60)
        else:
            long = clip
        with av.open(str(long), metadata_errors="replace") as container:
            duration = (container.duration or 0) / av.time_base
        bare, _ = peak(["-c", LOADED], folder)
        first, first_seconds = peak(["-c", ANALYZE, str(long), "--json"], folder)
        again, again_seconds = peak(["-c", ANALYZE, str(long), "--json"], folder)
        size = long.stat().st_size / 1e6
    print(f"{clip.name}: {duration / 60:.1f} min, {size:.0f} MB, {os.cpu_count()} cores")
    print(f"{'':24}{'peak MB':>10}{'seconds':>10}{'time / duration':>18}")
    print(f"{'Python':24}{bare:10.0f}")
    print(f"{'first analysis':24}{first:10.0f}{first_seconds:10.1f}{first_seconds / max(duration, 1e-9):18.3f}")
    print(f"{'second analysis':24}{again:10.0f}{again_seconds:10.1f}{again_seconds / max(duration, 1e-9):18.5f}")
    print(f"{'limit':24}{LIMIT_MB:10}")
    if first > LIMIT_MB:
        sys.exit(f"{first:.0f} MB is more than {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
