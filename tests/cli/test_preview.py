from __future__ import annotations

import json
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.score import Note, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import MissingError
from cmt_bridge.outputs.audio import find_soundfont
from cmt_bridge.outputs.midi import write_midi
from cmt_bridge.outputs.scorefile import write_score


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A score folder; its first note is at 0.5 s, and the last one rings past the end of the video."""
    try:
        find_soundfont()
    except MissingError:
        pytest.skip("no SoundFont on this computer")
    notes = (Note(4, 60, 2, 110), Note(14, 67, 16, 110))
    score = Score(TempoMap.constant(120), (Track(Instrument.PIANO, 0, notes),), bars=1, duration=2.0, title="x/y")
    write_score(score, tmp_path / "film" / "score.json")
    write_midi(score, tmp_path / "film" / "film.mid")
    return tmp_path / "film"


def write_clip(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 4, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def test_without_a_video_the_sound_is_written(run: Any, folder: Path) -> None:
    code, out, err = run("preview", folder, "--renderer", "symusic")
    assert code == 0
    assert out.strip() == str(folder / "film.preview.wav")
    assert "Without --video only the sound" in err
    with wave.open(out.strip()) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768
    assert len(samples) == 2 * 48_000
    loud = np.abs(samples).max(axis=1)
    assert 0.499 < np.argmax(loud > 0.05) / 48_000 < 0.52
    assert 0.5 < loud.max() < 0.9
    assert loud[-10:].max() < 0.001  # faded out where it is cut


def test_a_folder_previews_its_edited_midi_file(run: Any, folder: Path) -> None:
    score = Score(TempoMap.constant(120), (Track(Instrument.PIANO, 0, (Note(8, 60, 4, 110),)),), 1, 2.0)
    write_midi(score, folder / "film.mid")
    out = run("preview", folder, "--renderer", "symusic")[1]
    with wave.open(out.strip()) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 32768
    assert 0.999 < np.argmax(np.abs(samples).max(axis=1) > 0.05) / 48_000 < 1.02


def test_with_a_video_its_picture_gets_the_sound(run: Any, folder: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    for score, name in ((folder / "film.mid", "clip.preview.mp4"), (folder, "clip.preview (2).mp4")):
        code, out, _ = run("preview", score, "--video", clip, "--json", "--renderer", "symusic")
        assert code == 0
        data = json.loads(out)
        assert data["preview"] == str(folder / name)
        assert data["duration"] == pytest.approx(2.0)
        with av.open(data["preview"]) as container:
            blocks = [(frame.time, frame.to_ndarray()) for frame in container.decode(audio=0)]
        loud = next(
            time + np.argmax(np.abs(b).max(axis=0) > 0.05) / 48_000 for time, b in blocks if np.abs(b).max() > 0.05
        )
        assert abs(loud - 0.5) < 0.02


def test_a_given_output_is_never_replaced(run: Any, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.wav"
    assert run("preview", folder, "-o", target, "--renderer", "symusic")[1].strip() == str(target)
    code, _, err = run("preview", folder, "-o", target)
    assert code == 5
    assert "exists already" in err


def test_bad_input_is_one_line(run: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "text.mid").write_text("no music")
    before = sorted(tmp_path.rglob("*"))
    for code, message, *arguments in (
        (3, "holds no score.json", tmp_path),
        (3, "Cannot read", tmp_path / "none.json"),
        (3, "not a MIDI file", tmp_path / "text.mid"),
        (3, "not a video", folder, "--video", tmp_path / "text.mp4"),
        (3, "There is no file", folder, "--video", tmp_path / "none.mp4"),
        (3, "not a SoundFont", folder, "--soundfont", tmp_path / "text.mid"),
        (2, "not a .wav file", folder, "-o", tmp_path / "a.mp4"),
    ):
        got, out, err = run("preview", *arguments)
        assert (got, out, err.count("\n")) == (code, "", 1)
        assert message in err
    assert sorted(tmp_path.rglob("*")) == before
