"""Small clips, made here, so that a fresh clone can test with real files."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

SIZE = (160, 96)


def noise(seed: int, size: tuple[int, int] = SIZE, grain: int = 8) -> Picture:
    """Give a soft random texture of (width, height), shape (height, width, 3)."""
    width, height = size
    coarse = np.random.default_rng(seed).integers(0, 256, (height // grain + 2, width // grain + 2, 3))
    fine = np.kron(coarse, np.ones((grain, grain, 1)))[:height, :width]
    soft = fine.copy()
    for axis in (0, 1):
        for shift in (1, 2, 3):
            soft += np.roll(fine, shift, axis) + np.roll(fine, -shift, axis)
    return (soft / 13).astype(np.uint8)


def moved(picture: Picture, right: float, down: float = 0.0) -> Picture:
    """Give the picture shifted by whole pixels, around the edges."""
    return np.roll(picture, (round(down), round(right)), (0, 1))


def panning(seconds: float, rate: Fraction | int, speed: float, seed: int = 1) -> list[Picture]:
    """Give frames of a texture that moves right by `speed` pixels per second."""
    count = round(seconds * Fraction(rate))
    return [moved(noise(seed), speed * k / float(rate)) for k in range(count)]


def pulsing(seconds: float, rate: Fraction | int, bpm: float, reach: float = 12.0, seed: int = 1) -> list[Picture]:
    """Give frames of a texture that glides and stops short on every beat."""
    frames = []
    for k in range(round(seconds * Fraction(rate))):
        beats = k / float(rate) * bpm / 60.0
        whole, part = divmod(beats, 1.0)
        frames.append(moved(noise(seed), reach * (whole + max(0.0, 2.0 * part - 1.0) ** 1.0)))
    return frames


def shots(lengths: Sequence[int], speed: float = 1.0) -> list[Picture]:
    """Give frames of shots of these lengths, hard cuts between them, all moving by `speed` pixels per frame."""
    return [moved(noise(10 + shot), speed * k) for shot, length in enumerate(lengths) for k in range(length)]


def write_clip(
    path: Path,
    frames: Iterable[Picture],
    rate: Fraction | int = 25,
    *,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    times: Callable[[int], Fraction] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a clip; `times` gives each frame's time in seconds, which makes it one of variable frame rate."""
    base = time_base or (Fraction(1, 10_000) if times else 1 / Fraction(rate))
    with av.open(str(path), "w", options=options or {}) as container:
        stream = None
        for k, picture in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(rate))
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = pixels
                stream.bit_rate = 4_000_000
                stream.codec_context.time_base = base
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = round((times(k) if times else k / Fraction(rate)) / base)
            frame.time_base = base
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    """Write a file that holds only sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        for k in range(int(seconds * 44_100 / 1024)):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44_100, k * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def turn_clip(path: Path) -> Path:
    """Mark an mp4 as to be shown turned by 90 degrees clockwise, as phones do."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    height = struct.unpack(">I", data[matrix + 40 : matrix + 44])[0]
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, height, 0, 1 << 30)
    path.write_bytes(data)
    return path
