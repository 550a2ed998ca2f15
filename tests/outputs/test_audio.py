from __future__ import annotations

import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.score import Note, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import CmtBridgeError, InputError, MissingError
from cmt_bridge.midi.file import parsed
from cmt_bridge.outputs import audio
from cmt_bridge.outputs.audio import (
    PEAK,
    SAMPLE_RATE,
    Renderer,
    find_soundfont,
    fit,
    level,
    playable,
    render,
    write_wav,
)
from cmt_bridge.outputs.midi import midi_bytes
from tests.outputs.midifiles import chunk, meta, midi, played, tempo

RENDERERS: list[Renderer] = ["symusic", "fluidsynth"]


@pytest.fixture
def font() -> Path:
    try:
        return find_soundfont()
    except MissingError:
        pytest.skip("no SoundFont on this computer")


def piano(*notes: Note, tempo_map: TempoMap | None = None) -> bytes:
    track = Track(Instrument.PIANO, 0, notes)
    return midi_bytes(Score(tempo_map or TempoMap.constant(120), (track,), bars=8))


def peak(sound: audio.Sound, start: float, end: float) -> float:
    return float(np.abs(sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]).max(initial=0))


def onset(sound: audio.Sound, start: float, end: float) -> float:
    """Give the time at which the sound first reaches a tenth of its peak between two times."""
    window = np.abs(sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]).max(axis=1)
    return start + float(np.argmax(window > window.max() / 10)) / SAMPLE_RATE


@pytest.mark.parametrize("renderer", RENDERERS)
def test_notes_sound_when_and_as_loud_as_written(font: Path, renderer: Renderer) -> None:
    if renderer == "fluidsynth" and not shutil.which("fluidsynth"):
        pytest.skip("fluidsynth is not installed")
    tempo_map = TempoMap.of([(0, 500_000), (16, 700_000), (40, 333_333)])
    ticks, velocities = (0, 24, 56, 80), (30, 60, 90, 120)
    notes = [Note(tick, 60, 2, velocity) for tick, velocity in zip(ticks, velocities, strict=True)]
    sound = render(piano(*notes, tempo_map=tempo_map), font, renderer=renderer)
    assert sound.dtype == np.float32
    starts = [float(tempo_map.seconds(tick)) for tick in ticks]
    for start in starts:
        assert -0.001 <= onset(sound, max(0, start - 0.05), start + 0.2) - start < 0.02
    peaks = [peak(sound, start, start + 0.25) for start in starts]
    assert peaks == sorted(peaks)
    assert peaks[3] > 8 * peaks[0]  # 40 dB per decade: 16 times
    assert peak(sound, starts[1] - 0.3, starts[1] - 0.01) < peaks[0] / 10  # released in between


def test_drums_sound_whatever_kit_is_named(font: Path) -> None:
    track = Track(Instrument.DRUMS, 114, (Note(0, 36, 1, 100),))
    sound = render(midi_bytes(Score(TempoMap.constant(120), (track,), bars=1)), font, renderer="symusic")
    assert peak(sound, 0, 0.5) > 0.01


def test_a_given_soundfont_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.sf2").write_bytes(b"RIFF\0\0\0\0sfbkLIST")
    (tmp_path / "b.sf2").write_bytes(b"text")
    assert find_soundfont(tmp_path / "a.sf2") == tmp_path / "a.sf2"
    monkeypatch.setenv(audio.SOUNDFONT_VARIABLE, str(tmp_path / "a.sf2"))
    assert find_soundfont() == tmp_path / "a.sf2"
    monkeypatch.setenv(audio.SOUNDFONT_VARIABLE, str(tmp_path / "b.sf2"))
    with pytest.raises(InputError, match="not a SoundFont"):
        find_soundfont()
    with pytest.raises(CmtBridgeError, match=r"cannot be played with a\.sf2"):
        render(piano(Note(0, 60, 1)), tmp_path / "a.sf2", renderer="symusic")


def test_free_complete_fonts_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(audio.SOUNDFONT_VARIABLE, raising=False)
    monkeypatch.setattr(audio, "FOLDERS", (str(tmp_path),))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    with pytest.raises(MissingError, match="No SoundFont") as caught:
        find_soundfont()
    assert "--soundfont" in caught.value.hint
    for name in ("TimGM6mb.sf2", "my piano.sf2", "FluidR3Mono_GM.sf3", "readme.txt"):
        (tmp_path / name).write_bytes(b"RIFF\0\0\0\0sfbk")
        if name != "readme.txt":
            assert find_soundfont().name == name
    assert find_soundfont().name == "FluidR3Mono_GM.sf3"


def test_levels_and_lengths() -> None:
    loud = np.full((SAMPLE_RATE, 2), 3.0, np.float32)
    assert np.abs(level(loud)).max() == pytest.approx(PEAK)
    assert not level(np.zeros((10, 2), np.float32)).any()
    assert level(np.zeros((0, 2), np.float32)).shape == (0, 2)
    assert len(fit(loud, 2.5)) == 2.5 * SAMPLE_RATE
    assert not fit(loud, 2.5)[SAMPLE_RATE:].any()
    cut = fit(loud, 0.5)
    assert len(cut) == SAMPLE_RATE / 2
    assert cut[0, 0] == 3
    assert cut[-1, 0] == 0
    assert loud.min() == 3  # what was given stays


def test_a_wav_file_holds_the_sound(tmp_path: Path) -> None:
    sound = np.stack([np.linspace(-1, 1, 100), np.linspace(2, -2, 100)], axis=1).astype(np.float32)
    write_wav(sound, tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (SAMPLE_RATE, 2, 100)
        samples = np.frombuffer(file.readframes(100), "<i2").reshape(-1, 2) / 32767
    assert np.abs(samples - np.clip(sound, -1, 1)).max() < 1e-4


def test_a_synthesizer_hears_what_we_wrote_and_nothing_else() -> None:
    """A file with packets, bytes to be sent as they are, text and a note without an end; a tempo of nothing is none."""
    events = [
        (0, meta(3, b"\xff\xfe")),
        (0, tempo(0, 0)[1]),
        (0, b"\xc0\x05"),
        (0, b"\xf7\x06\xf1\0\0\x9f\x90\x11"),
        (10, b"\xf0\x02\x43\x12"),
        (20, b"\xf7\x02\x01\xf7"),
        (30, b"\x90\x3c\x40"),
        (480, tempo(0, 400_000)[1]),
    ]
    tracks = parsed(playable(midi(chunk(events, end=960))), Path("heard")).tracks
    end = (960, b"\xff\x2f\0")
    assert [list(track.events) for track in tracks] == [
        [(480, tempo(0, 400_000)[1]), end],
        [(0, b"\xc0\x05"), (10, b"\xf0\x04\x43\x12\x01\xf7"), (30, b"\x90\x3c\x40"), (960, b"\x80\x3c\x40"), end],
    ]


def test_music_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    data = midi(chunk([tempo(0, 0xFFFFFF), *played(0, 480 * 39_000)]))
    with pytest.raises(InputError, match=r"lasts 181\.8 hours, and a preview has 3 at most"):
        render(data, tmp_path / "any.sf2", renderer="symusic")
