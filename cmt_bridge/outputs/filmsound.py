"""The sound that a film has of its own, and music mixed with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cmt_bridge.core.files import of_one_file
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.outputs.audio import PEAK, SAMPLE_RATE, Sound, level
from cmt_bridge.outputs.preview import Picture

__all__ = ["mixed", "read_film_sound"]

MUSIC_UNDER = 10 ** (-6 / 20)
"""The gain of levelled music beside a film's own sound, which keeps its level."""
JUMP_SECONDS = 0.05  # from which on a gap between two blocks is one of the film, and no rounding


@takes_paths
def read_film_sound(path: Path, picture: Picture) -> tuple[Sound | None, str]:
    """Return a film's own sound from its first picture to its last, and what is wrong with it, if anything.

    It is None where the film has none. What cannot be decoded is silent.
    """
    import av

    sound = np.zeros((max(0, round(picture.seconds * SAMPLE_RATE)), 2), np.float32)
    try:
        with av.open(f"file:{path}", metadata_errors="replace", options=of_one_file(av.formats_available)) as container:
            stream = container.streams.best("audio")
            if stream is None:
                return None, ""
            _fill(sound, container, stream, float(picture.start))
    except (av.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", "") or str(error)
        return (sound if sound.any() else None), f"The film's own sound cannot be read to its end: {reason}."
    return sound, ""


def _fill(sound: Sound, container: Any, stream: Any, start: float) -> None:
    """Write the blocks of a stream to where they are heard."""
    import av

    resampler, form, place = None, None, 0
    for frame in container.decode(stream):
        begins = place if frame.time is None else round((frame.time - start) * SAMPLE_RATE)
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or kind != form or abs(begins - place) > JUMP_SECONDS * SAMPLE_RATE:
            if resampler is not None:
                _put(sound, resampler.resample(None), place)
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
            form, place = kind, begins
        frame.pts = None  # the place is reckoned here
        place = _put(sound, resampler.resample(frame), place)
        if place >= len(sound):
            return
    if resampler is not None:
        _put(sound, resampler.resample(None), place)


def _put(sound: Sound, blocks: list[Any], place: int) -> int:
    """Write blocks from a sample on, as far as they lie within the sound; return the sample after them."""
    for block in blocks:
        samples = block.to_ndarray().T
        first, last = max(0, place), min(len(sound), place + len(samples))
        if first < last:
            sound[first:last] = samples[first - place : last - place]
        place += len(samples)
    return place


def mixed(music: Sound, film: Sound | None) -> Sound:
    """Return music, levelled, with a film's own sound, both of one length: that keeps its level, the music lies below.

    Where both together would be too loud, both are turned down alike.
    """
    music = level(music)
    if film is None or not film.any():
        return music
    both: Sound = music * np.float32(MUSIC_UNDER) + np.nan_to_num(film)
    return level(both) if np.abs(both).max(initial=0.0) > PEAK else both
