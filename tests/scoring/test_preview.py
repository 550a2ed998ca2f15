"""Previews of takes: where they go, which take they are of, and what is heard in them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.score import Note, Score, Track
from cmt_bridge.core.tempo import TempoMap
from cmt_bridge.errors import MissingError, OutputError, ScoreError, UsageError
from cmt_bridge.outputs.audio import PEAK, SAMPLE_RATE, find_soundfont
from cmt_bridge.outputs.filmsound import mixed, read_film_sound
from cmt_bridge.outputs.preview import Picture, measure_picture
from cmt_bridge.scoring.preview import PreviewOptions, preview
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder

Run = Callable[..., tuple[int, str, str]]
HUM = 1000  # Hz, of the film's own sound
SECONDS = 2.0
PLAIN = PreviewOptions(renderer="symusic")


def write_film(path: Path, *, loud: float | None = 0.1, rate: int = 44_100, layout: str = "mono") -> Path:
    """Write two seconds of grey; with a hum of its own where it is `loud`, from half a second on."""
    with av.open(str(path), "w") as output:
        picture = output.add_stream("libx264", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = output.add_stream("aac", rate=rate, layout=layout) if loud is not None else None
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 4, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(picture.encode(frame))
        output.mux(picture.encode(None))
        if sound is not None:
            at = np.arange(int(SECONDS * rate)) / rate
            wave = (loud * np.sin(2 * np.pi * HUM * at) * (at >= 0.5)).astype(np.float32)
            rows = 1 if layout == "mono" else 2
            for start in range(0, len(wave), 1024):
                piece = np.tile(wave[start : start + 1024], (rows, 1))
                block = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
                block.sample_rate, block.pts, block.time_base = rate, start, Fraction(1, rate)
                output.mux(sound.encode(block))
            output.mux(sound.encode(None))
    return path


def piece(pitch: int) -> Score:
    return Score(TempoMap.constant(120), (Track(Instrument.PIANO, 0, (Note(0, pitch, 16, 100),)),), 1, SECONDS)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A film with a sound of its own and two takes."""
    try:
        find_soundfont()
    except MissingError:
        pytest.skip("no SoundFont on this computer")
    path = write_film(tmp_path / "my film.mp4")
    drafts = [NewTake(piece(pitch), TakeInfo("score", "2026-01-02T03:04:05+00:00", "a", pitch)) for pitch in (60, 67)]
    TakeFolder.create(tmp_path / "my film.cmt", path.name, "abc", drafts)
    return path


def heard(path: Path) -> npt.NDArray[np.float32]:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
        blocks = [b.to_ndarray() for frame in container.decode(audio=0) for b in resampler.resample(frame)]
    return np.concatenate(blocks, axis=1).T


def strength(sound: npt.NDArray[np.float32], hertz: float, start: float = 0.8, end: float = 1.6) -> float:
    """Return the amplitude of a frequency in a stretch of sound."""
    part = sound[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE), 0]
    at = np.arange(len(part)) / SAMPLE_RATE
    return float(2 * np.abs(np.mean(part * np.hanning(len(part)) * 2 * np.exp(-2j * np.pi * hertz * at))))


def test_the_films_own_sound_is_kept_with_the_music(film: Path) -> None:
    both, alone = (
        heard(preview(film, PreviewOptions(renderer="symusic", film_sound=kept))[0].path) for kept in (True, False)
    )
    assert strength(both, HUM) == pytest.approx(0.1 / np.sqrt(2), rel=0.25)  # mono on two channels
    assert strength(alone, HUM) < 0.02
    assert strength(both, HUM, 0.0, 0.4) < 0.03  # it begins where it began
    music = [float(np.abs(sound[: round(0.4 * SAMPLE_RATE)]).max()) for sound in (both, alone)]
    assert music[0] == pytest.approx(music[1] / 2, rel=0.2)  # 6 dB under


def test_previews_lie_beside_the_video_named_by_take(film: Path, tmp_path: Path) -> None:
    inside = sorted(film.with_suffix(".cmt").rglob("*"))
    assert [each.path for each in preview(film, PLAIN)] == [tmp_path / "my film take 1.preview.mp4"]
    assert [each.path.name for each in preview(film.with_suffix(".cmt"), PLAIN, take=2)] == [
        "my film take 2.preview.mp4"
    ]
    before = {path: path.read_bytes() for path in tmp_path.glob("*.preview*")}
    again = preview(film.with_suffix(".cmt") / "take 2", PLAIN)
    assert [(each.take, each.path.name) for each in again] == [(2, "my film take 2.preview (2).mp4")]
    every = preview(film, PLAIN, every=True)
    assert [each.path.name for each in every] == ["my film take 1.preview (2).mp4", "my film take 2.preview (3).mp4"]
    assert all(path.read_bytes() == content for path, content in before.items())
    assert sorted(film.with_suffix(".cmt").rglob("*")) == inside


def test_a_project_without_its_film_is_heard_alone(film: Path, tmp_path: Path) -> None:
    film.unlink()
    (made,) = preview(tmp_path / "my film.cmt", PLAIN, take=2)
    assert made.path == tmp_path / "my film take 2.preview.wav"
    assert made.seconds == SECONDS


def test_what_cannot_be_is_refused(film: Path, tmp_path: Path) -> None:
    new = write_film(tmp_path / "new.mp4")
    (tmp_path / "there.mp4").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ScoreError, match=r"new\.mp4 has no takes yet\. Make one: cmt-bridge score"):
        preview(new, PLAIN)
    with pytest.raises(UsageError, match="no take 9"):
        preview(film, PLAIN, take=9)
    with pytest.raises(UsageError, match="-o names one file"):
        preview(film, PLAIN, every=True, output=tmp_path / "a.mp4")
    with pytest.raises(OutputError, match="exists already"):
        preview(film, PLAIN, output=tmp_path / "there.mp4")
    with pytest.raises(UsageError, match="no takes to choose from"):
        preview(new, PLAIN, take=1)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_takes_a_take(run: Run, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(film.parent)
    code, out, _ = run("preview", film.name, "--take", "all", "--renderer", "symusic")
    assert (code, out) == (0, "my film take 1.preview.mp4\nmy film take 2.preview.mp4\n")
    code, out, err = run("preview", film.name, "--take", "two")
    assert (code, out) == (2, "")
    assert "no take 'two'" in err


@pytest.mark.parametrize(("rate", "layout"), [(48_000, "stereo"), (44_100, "stereo"), (22_050, "mono")])
def test_a_films_sound_is_read_in_its_place(tmp_path: Path, rate: int, layout: str) -> None:
    film = write_film(tmp_path / "a.mp4", loud=0.5, rate=rate, layout=layout)
    sound, fault = read_film_sound(film, measure_picture(film))
    assert fault == ""
    assert sound is not None
    assert len(sound) == SECONDS * SAMPLE_RATE
    onset = np.flatnonzero(np.abs(sound[:, 0]) > 0.1)[0] / SAMPLE_RATE
    assert onset == pytest.approx(0.5, abs=0.03)
    later, _ = read_film_sound(film, Picture(Fraction(1, 4), Fraction(2)))  # a picture that begins later
    assert later is not None
    assert np.flatnonzero(np.abs(later[:, 0]) > 0.1)[0] / SAMPLE_RATE == pytest.approx(0.25, abs=0.03)


def test_a_film_without_sound_has_none(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", loud=None)
    assert read_film_sound(film, measure_picture(film)) == (None, "")


def test_a_mix_never_clips() -> None:
    at = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    music = np.repeat(np.sin(2 * np.pi * 200 * at)[:, None], 2, 1).astype(np.float32)
    loud = 0.99 * np.repeat(np.sign(music[:, :1]), 2, 1)
    for film in (loud, np.zeros_like(music), None):
        assert np.abs(mixed(music, film)).max() <= PEAK + 1e-6
    quiet = np.full_like(music, 0.01)
    both = mixed(music, quiet)
    assert np.abs(both - quiet).max() == pytest.approx(PEAK / 2, rel=0.01)
