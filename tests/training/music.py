"""Music for tests: MIDI files made on the spot."""

from __future__ import annotations

from pathlib import Path

import mido
import numpy as np


def write_song(
    path: Path,
    seed: int,
    *,
    bars: int = 8,
    metre: tuple[int, int] = (4, 4),
    transpose: int = 0,
    changed: int = 0,
    velocity: int = 80,
) -> Path:
    """Write a band of piano, bass and drums in random eighths; `changed` of its piano notes are a third higher."""
    rng = np.random.default_rng(seed)
    midi = mido.MidiFile(type=1, ticks_per_beat=480)
    midi.tracks.append(mido.MidiTrack([mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1])]))
    for channel, program, low in ((0, 0, 60), (1, 33, 40), (9, 0, 36)):
        track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        for number in range(bars * 8):
            pitch = int(low + rng.integers(0, 8)) + (transpose if channel != 9 else 0)
            pitch += 4 * (channel == 0 and number % 7 == 3 and number // 7 < changed)
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=velocity))
            track.append(mido.Message("note_off", channel=channel, note=pitch, time=240))
        midi.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.save(path)
    return path
