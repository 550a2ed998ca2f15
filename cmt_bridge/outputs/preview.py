"""A clip with the score as its sound: the picture is copied packet by packet, never encoded again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from cmt_bridge.core.files import complete_path, new_file, numbered
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import OutputError, UsageError
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
    """The picture stream of a video: `start` and `end` in seconds on the file's own clock, straightened where it jumps.

    `before` packets come first that nothing is shown of.
    """

    start: Fraction
    end: Fraction
    before: int = 0

    @property
    def seconds(self) -> float:
        """Its length."""
        return float(self.end - self.start)


@takes_paths
def measure_picture(path: Path) -> Picture:
    """Find out when the picture of a video begins and ends. Raises `VideoError` where there is none."""
    from cmt_bridge.media.reel import Reel

    with Reel(path) as reel:
        shown = reel.shown()
        return Picture(shown.start * reel.time_base, shown.end * reel.time_base, shown.before)


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

    from cmt_bridge.media.reel import Reel

    with Reel(video) as reel:
        base = reel.time_base
        shift = round(picture.start / base)
        with av.open(f"file:{path}", "w") as output:
            try:
                track = output.add_stream_from_template(reel.stream, opaque=True)
                track.metadata.update(reel.stream.metadata)
                writer = _SoundWriter(output, sound, CONTAINERS[path.suffix.lower()])
                output.start_encoding()
            except (av.FFmpegError, ValueError) as error:
                raise _CannotHoldError(f"{path.suffix} cannot hold this picture") from error
            is_begun = False
            for number, packet in enumerate(reel.packets()):
                if number < picture.before or not packet.size or (packet.pts is None and packet.dts is None):
                    continue
                packet.pts = (packet.dts if packet.pts is None else packet.pts) - shift
                if is_begun and packet.pts < 0 and not packet.is_discard:
                    continue  # shown before the first, but refers to what is not there
                is_begun = is_begun or not packet.pts
                if packet.dts is not None:
                    packet.dts -= shift
                now = float(packet.pts * base)
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
    """Write the picture of `video` with `sound`, both beginning at 0; return the path written.

    `path` is without a suffix and gets that of the container: that of the video where it can hold the sound as well
    (AAC; Opus in WebM), else Matroska, QuickTime or AVI; it never names a file that is there already. `exact` writes to
    `path` as it is. Raises `VideoError`, `OutputError`, and `UsageError` for a suffix that cannot hold the picture.
    """
    if exact and path.suffix.lower() not in CONTAINERS:
        raise UsageError(f"A preview cannot be written as {path.name}.", hint=f"Use one of {', '.join(CONTAINERS)}.")
    suffix = path.suffix if exact else video.suffix.lower()
    candidates = [suffix] if exact else list(dict.fromkeys([*({suffix} & CONTAINERS.keys()), *FALLBACKS]))
    for candidate in candidates:
        copy = partial(_copy, video, picture, sound, progress=progress)
        try:
            if not exact:
                return new_file(numbered(path.with_name(f"{path.name}{candidate}")), copy)
            with complete_path(path) as temporary:
                copy(temporary)
            return path
        except _CannotHoldError:
            continue
    if exact:
        raise UsageError(f"{path.suffix} cannot hold the picture of {video.name}.", hint="Use .mkv or leave -o out.")
    raise OutputError(f"No container holds the picture of {video.name}.", hint="Convert it to MP4 first.")
