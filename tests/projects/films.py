"""Music for films that are not there: tempo changes, several takes, names that are hard to write down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cmt_bridge.core.instruments import PARTS, Instrument
from cmt_bridge.core.score import Marker, Note, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.core.timecode import counting_of
from cmt_bridge.midi.events import END_OF_TRACK, chunk_of, file_of, meta_event
from cmt_bridge.outputs.midi import midi_bytes
from cmt_bridge.projects.arrangement import Arrangement, Film, arranged, version_of

__all__ = ["MARKERS", "TEMPOS", "arrangement_of", "edited_midi", "score_of"]

TEMPOS = TempoMap.of([(0, 500_000), (24, 612_345), (40, 431_655)])
MARKERS = (
    Marker(0.0, "section", "Section A (calm)"),
    Marker(1.2512, "cut", "Cut 1"),
    Marker(3.3333333333, "section", 'Section B "fast" & <loud>'),
    Marker(5.5, "beat", "Hit 0.95"),
    Marker(6.02, "cut", "Schnitt – 日本"),
)
BARS = 4


def score_of(tempos: TempoMap = TEMPOS, shift: int = 0, frame_rate: tuple[int, int] = (24000, 1001)) -> Score:
    """Give a score in which every instrument plays something of its own; `shift` moves its pitches."""
    tracks = tuple(
        Track(
            instrument,
            PARTS[instrument].program,
            tuple(
                Note(tick, 40 + shift + int(instrument) + tick % 7, 1 + tick % 5, 20 + 7 * (tick % 15))
                for tick in range(int(instrument), BARS * 16 - 5, int(instrument) + 1)
            ),
        )
        for instrument in Instrument
    )
    return Score(tempos, tracks, BARS, duration=8.0, frame_rate=frame_rate, title="Der Film", markers=MARKERS)


def arrangement_of(
    folder: Path,
    *,
    title: str = "Der Film",
    tempos: TempoMap = TEMPOS,
    takes: int = 3,
    current: int = 1,
    frame_rate: tuple[int, int] = (24000, 1001),
    own: str = "",
    start: str = "",
    film: str | None = "clip – 1.mp4",
    edited: bool = False,
    offset: float = 0.0,
) -> Arrangement:
    """Give an arrangement of some takes, of which the last may be one that was edited elsewhere."""
    versions = []
    for number in range(takes):
        path = folder / f"take {number + 1}.mid"
        path.write_bytes(midi_bytes(score_of(tempos, number)))
        versions.append(version_of(path, f"take {number + 1}"))
    if edited:
        path = folder / "edited.mid"
        path.write_bytes(edited_midi())
        versions, current = [version_of(path, "take 4")], 0
    return arranged(
        title,
        versions,
        current,
        markers=MARKERS,
        duration=8.0,
        counting=counting_of(frame_rate, own, offset=offset, start=start),
        film=None if film is None else Film(folder / film, 8.0, 1280, 720, offset),
    )


def edited_midi() -> bytes:
    """Give a file as a DAW exports it: off the grid, with controllers, bends, pressure, a sysex, another metre."""
    end = meta_event(END_OF_TRACK)
    head = [
        (0, meta_event(0x58, bytes((3, 2, 24, 8)))),
        (0, meta_event(0x51, (512_345).to_bytes(3))),
        (2_880, meta_event(0x58, bytes((7, 3, 24, 8)))),
        (3_001, meta_event(0x51, (480_001).to_bytes(3))),
        (9_000, end),
    ]
    lead = [
        (0, meta_event(3, "Lead – 1".encode())),
        (0, b"\xc2\x51"),
        (5, b"\xb2\x0b\x40"),
        (7, b"\x92\x3c\x51"),
        (100, b"\xe2\x12\x43"),
        (101, b"\xd2\x33"),
        (102, b"\xa2\x3c\x11"),
        (333, b"\xf0\x06\x7e\x7f\x09\x01\x02\xf7"),
        (961, b"\x82\x3c\x20"),
        (961, b"\x92\x3c\x52"),
        (3_500, b"\x92\x3c\x00"),
        (8_999, end),
    ]
    return file_of(1, 960, [chunk_of(head), chunk_of(lead)])


def renamed(arrangement: Arrangement, names: list[str]) -> Arrangement:
    """Give it with other names of its parts."""
    versions = tuple(
        replace(version, parts=tuple(replace(part, name=name) for part, name in zip(version.parts, names, strict=True)))
        for version in arrangement.versions
    )
    return replace(arrangement, versions=versions)
