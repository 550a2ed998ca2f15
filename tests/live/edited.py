"""MIDI files as somebody leaves them who has edited a take in a DAW."""

from __future__ import annotations

import mido

from cmt_bridge.core.score import Score
from cmt_bridge.outputs.midi import midi_bytes
from tests.live.playing import piece

BARS = 6
DIVISION = 480
BPM = 96.0


def score() -> Score:
    """Give the score that was edited."""
    return piece(BARS, bpm=BPM)


def plain() -> bytes:
    """Give its MIDI file as it was written."""
    return midi_bytes(score())


def track(name: str, *events: tuple[int, mido.Message | mido.MetaMessage]) -> mido.MidiTrack:
    """Give a track of events by their file ticks; those of one tick stay in their order."""
    found = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        found.append(message.copy(time=tick - now))
        now = tick
    return found


def note(start: int, length: int, channel: int, pitch: int, velocity: int = 80, lift: int = 0) -> list[tuple]:  # type: ignore[type-arg]
    return [
        (start, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)),
        (start + length, mido.Message("note_off", channel=channel, note=pitch, velocity=lift)),
    ]


def control(tick: int, channel: int, number: int, value: int) -> tuple[int, mido.Message]:
    return tick, mido.Message("control_change", channel=channel, control=number, value=value)


def edited(*, tempos: tuple[tuple[int, int], ...] = ((0, 625_000),), bars: int = BARS) -> mido.MidiFile:
    """Give a file with triplets, pedal, bends, pressure, programs, a system exclusive and a track of effects."""
    bar = 4 * DIVISION
    drums = [each for n in range(bars * 12) for each in note(n * DIVISION // 3, 60, 9, 51, 60 + 20 * (n % 3 == 0))]
    piano = [(0, mido.Message("program_change", channel=0, program=4))]
    for number in range(bars * 2):
        start = number * 2 * DIVISION
        piano += note(start + 7, 700, 0, 60 + number, 70, 30)
        piano += [control(start + 7, 0, 64, 127), control(start + 900, 0, 64, 0)]
        piano += [(start + 100, mido.Message("pitchwheel", channel=0, pitch=2048))]
        piano += [(start + 300, mido.Message("pitchwheel", channel=0, pitch=0))]
        piano += [(start + 310, mido.Message("aftertouch", channel=0, value=number))]
    piano += [(3 * bar + 5, mido.Message("program_change", channel=0, program=19))]
    effects = [(0, mido.Message("program_change", channel=5, program=127)), control(0, 5, 7, 100)]
    effects += [(bar + 1, mido.Message("sysex", data=(0x7E, 0x7F, 0x09, 0x01)))]
    effects += [(bar + 2, mido.Message("polytouch", channel=5, note=40, value=9))]
    effects += [each for n in range(bars) for each in note(n * bar + 481, 419, 5, 40, 100)]
    head = [(tick, mido.MetaMessage("set_tempo", tempo=uspq)) for tick, uspq in tempos]
    head += [(bar, mido.MetaMessage("marker", text="Chorus"))]
    found = mido.MidiFile(type=1, ticks_per_beat=DIVISION)
    found.tracks += [track("clip", *head), track("Drums", *drums), track("Piano", *piano), track("SFX", *effects)]
    return found


def timed(file: mido.MidiFile) -> list[tuple[float, bytes]]:
    """Give the second of each message that is no meta event, as mido reads them."""
    found, seconds, uspq = [], 0.0, 500_000
    for message in mido.merge_tracks(file.tracks):
        seconds += mido.tick2second(message.time, file.ticks_per_beat, uspq)
        if message.type == "set_tempo":
            uspq = message.tempo
        if not message.is_meta:
            found.append((seconds, bytes(message.bytes())))
    return found


def saved(file: mido.MidiFile) -> bytes:
    """Give the bytes of a file."""
    from io import BytesIO

    buffer = BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()
