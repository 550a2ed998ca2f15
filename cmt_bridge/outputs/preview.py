"""A clip with the score as its sound: the picture is copied packet by packet, never encoded again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from cmt_bridge.core.files import complete_path, fresh_path
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import OutputError, UsageError, VideoError
from cmt_bridge.outputs.audio import SAMPLE_RATE, Sound

__all__ = ["Picture", "measure_picture", "write_preview"]

# Containers that are kept, and the sound codec that goes into each.
CONTAINERS = {
    ".mp4": "aac",
    ".m4v": "aac",
    ".mov": "aac",
    ".3gp": "aac",
    ".mkv": "aac",
    ".flv": "aac",
    ".webm": "libopus",
    ".avi": "pcm_s16le",  # AAC in AVI starts late
}
FALLBACKS = (".mkv", ".mov", ".avi")  # Matroska holds all modern pictures, the others some that it does not
BIT_RATE = 192_000
AHEAD_SECONDS = 0.5  # how far the sound is written before the picture
CHUNK = SAMPLE_RATE // 10

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Picture:
    """The picture stream of a video: `start` and `end` in seconds on the file's own clock."""

    start: Fraction
    end: Fraction

    @property
    def seconds(self) -> float:
        """Its length."""
        return float(self.end - self.start)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what fails while `path` is read into a `VideoError`."""
    import av

    try:
        yield
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)):
            raise VideoError(f"Cannot read {path}: {error.strerror}.", hint="Check the path.") from error
        raise VideoError(f"{path} is not a video or is damaged.", hint="Give a video file.") from error


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Any]]:
    """Give the container and its best picture stream. Raises `VideoError` where there is none."""
    import av

    with _reading(path):
        container = av.open(str(path), metadata_errors="replace")
    with container:
        stream = container.streams.best("video")
        if stream is None:
            raise VideoError(f"{path} has no picture.", hint="Give a video file.")
        yield container, stream


def _packets(path: Path, container: Any, stream: Any) -> Iterator[Any]:
    packets = container.demux(stream)
    while True:
        with _reading(path):
            packet = next(packets, None)
        if packet is None:
            return
        if packet.size and (packet.dts is not None or packet.pts is not None):
            if packet.pts is None:
                packet.pts = packet.dts
            yield packet


@takes_paths
def measure_picture(path: Path) -> Picture:
    """Find out when the picture of a video begins and ends. Raises `VideoError` where there is none."""
    with _open(path) as (container, stream):
        base = stream.time_base
        shown = sorted((p.pts, p.duration or 0) for p in _packets(path, container, stream) if not p.is_discard)
    if not shown:
        raise VideoError(f"{path} has no picture.", hint="Give a video file.")
    last, length = shown[-1]
    if not length and len(shown) > 1:
        length = last - shown[-2][0]
    return Picture(shown[0][0] * base, (last + length) * base)


class _SoundWriter:
    """Encode a sound bit by bit, as the picture that it goes with is written."""

    def __init__(self, output: Any, sound: Sound, codec: str) -> None:
        self._output = output
        self._sound = sound
        self._done = 0
        self._stream = output.add_stream(codec, rate=SAMPLE_RATE, layout="stereo")
        self._stream.bit_rate = BIT_RATE

    def until(self, seconds: float) -> None:
        """Write the sound up to a time."""
        import av

        while self._done < min(len(self._sound), seconds * SAMPLE_RATE):
            piece = self._sound[self._done : self._done + CHUNK]
            frame = av.AudioFrame.from_ndarray(piece.T.copy(), format="fltp", layout="stereo")
            frame.sample_rate = SAMPLE_RATE
            frame.time_base = Fraction(1, SAMPLE_RATE)
            frame.pts = self._done
            self._output.mux(self._stream.encode(frame))
            self._done += len(piece)

    def close(self) -> None:
        """Write the rest."""
        self.until(float("inf"))
        self._output.mux(self._stream.encode(None))


def _copy(video: Path, picture: Picture, sound: Sound, path: Path, progress: Progress) -> None:
    import av

    with _open(video) as (container, stream):
        shift = round(picture.start / stream.time_base)
        with av.open(str(path), "w") as output:
            try:
                track = output.add_stream_from_template(stream, opaque=True)
                track.metadata.update(stream.metadata)
                writer = _SoundWriter(output, sound, CONTAINERS[path.suffix.lower()])
                output.start_encoding()
            except (av.FFmpegError, ValueError) as error:
                raise _CannotHoldError(f"{path.suffix} cannot hold this picture") from error
            for packet in _packets(video, container, stream):
                packet.pts -= shift
                if packet.dts is not None:
                    packet.dts -= shift
                now = float(packet.pts * stream.time_base)
                packet.stream = track
                writer.until(now + AHEAD_SECONDS)
                try:
                    output.mux(packet)
                except ValueError as error:  # "invalid argument": times that this container refuses
                    raise _CannotHoldError(f"{path.suffix} cannot hold this picture") from error
                progress(now / max(picture.seconds, 0.001))
            writer.close()


class _CannotHoldError(Exception):
    """A container cannot hold the picture."""


@takes_paths
def write_preview(
    video: Path,
    picture: Picture,
    sound: Sound,
    path: Path,
    *,
    exact: bool = False,
    progress: Progress = lambda _: None,
) -> Path:
    """Write the picture of `video` with `sound`, both beginning at 0; give the path written.

    `path` is without a suffix and gets that of the container: that of the video where it can hold the sound as well
    (AAC; Opus in WebM), else Matroska, QuickTime or AVI; it never names a file that is there already. `exact` writes to
    `path` as it is. Raises `VideoError`, `OutputError`, and `UsageError` for a suffix that cannot hold the picture.
    """
    if exact and path.suffix.lower() not in CONTAINERS:
        raise UsageError(f"A preview cannot be written as {path.name}.", hint=f"Use one of {', '.join(CONTAINERS)}.")
    suffix = path.suffix if exact else video.suffix.lower()
    candidates = [suffix] if exact else list(dict.fromkeys([*({suffix} & CONTAINERS.keys()), *FALLBACKS]))
    for candidate in candidates:
        target = path if exact else fresh_path(path.with_name(f"{path.name}{candidate}"))
        try:
            with complete_path(target) as temporary:
                _copy(video, picture, sound, temporary, progress)
            return target
        except _CannotHoldError:
            continue
    if exact:
        raise UsageError(f"{path.suffix} cannot hold the picture of {video.name}.", hint="Use .mkv or leave -o out.")
    raise OutputError(f"No container holds the picture of {video.name}.", hint="Convert it to MP4 first.")
