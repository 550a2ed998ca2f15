"""Every example runs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import symusic

from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.outputs.scorefile import read_score
from tests import clips
from tests.e2e.watcher import Watcher

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of measurements that the examples share, so that the same clip is measured once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def clip_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a clip of 6 s that pulses at 100 BPM."""
    return clips.write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", clips.pulsing(6, 25, bpm=100)).read_bytes()


def run(name: str, *arguments: object, folder: Path, cache: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "CMT_BRIDGE_CACHE": str(cache or folder / "cache")},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_an_example_without_arguments_says_what_it_needs(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: {name}")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [("own_curve.py", "mine"), ("demo_clip.py", "mine", "mine"), ("score_from_python.py", "mine", "mine")]
)
def test_an_example_overwrites_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / arguments[0]), *arguments[1:]], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "mine exists already" in done.stderr
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_a_clip_is_scored_from_python(tmp_path: Path, tiny_model: Path) -> None:
    clip = clips.write_clip(tmp_path / "clip.mp4", clips.pulsing(4, 25, bpm=100))
    said = run("score_from_python.py", clip, "music", tiny_model, folder=tmp_path).splitlines()
    assert [Path(line) for line in said[-2:]] == [Path("music/seed 1.mid"), Path("music/seed 2.mid")]
    assert (tmp_path / said[-2]).read_bytes() != (tmp_path / said[-1]).read_bytes()
    score = read_score(tmp_path / "music" / "seed 1.json")
    assert {track.name for track in score.tracks if track.notes} <= {"Piano", "Strings"}


@pytest.mark.parametrize("host", HOSTS)
def test_a_clip_goes_into_each_daw(
    tmp_path: Path,
    tiny_model: Path,
    host: str,
    clip_bytes: bytes,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(clip_bytes)
    if host == "reaper":
        said = run("into_a_daw.py", host, clip, tiny_model, folder=tmp_path, cache=cache)
    else:  # without a process of its own, which takes seconds to load all
        monkeypatch.setenv("CMT_BRIDGE_CACHE", str(cache))
        monkeypatch.setattr(sys, "argv", ["into_a_daw.py", host, str(clip), str(tiny_model)])
        load("into_a_daw").main()
        said = capsys.readouterr().out
    assert "take 1, take 2; take 2 is the one that is heard" in said
    (line,) = [line for line in said.splitlines() if line.startswith("2.")]
    assert Path(line.partition(": ")[2]).exists()
    assert said.splitlines()[-1].endswith(f"/{host}.md")


def test_music_follows_a_drawn_curve(tmp_path: Path, tiny_model: Path) -> None:
    run("own_curve.py", "rise.mid", tiny_model, folder=tmp_path)
    song = symusic.Score(str(tmp_path / "rise.mid"))
    onsets = {(note.time // 120) for track in song.tracks for note in track.notes}
    density = [sum(bar * 16 <= onset < bar * 16 + 16 for onset in onsets) for bar in range(9)]
    assert density == [2, 2, 4, 4, 6, 8, 10, 12, 1]
    assert {96, 100, 104, 108, 112, 116, 120, 124} <= onsets


def test_a_daemon_is_asked_for_bars(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMT_BRIDGE_STATE", str(tmp_path / "state"))
    watched = tmp_path / "watched"
    watched.mkdir()
    (watched / "cmt-bridge.toml").write_text(f"[score]\nmodel = '{tiny_model}'\n")
    clips.write_clip(watched / "clip.mp4", clips.pulsing(6, 25, bpm=100))
    environment = {**os.environ, "CMT_BRIDGE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    watcher = Watcher(watched, environment, tmp_path / "said.log")
    try:
        watcher.start()
        watcher.settle(1)
        said = run("ask_daemon.py", watched / "clip.mp4", "1-2", folder=tmp_path).splitlines()
        assert [line.partition(":")[0] for line in said] == ["take 2", "take 3"]
        assert (watched / "clip.cmt" / "take 3" / "clip.mid").is_file()
        made = [read_score(watched / "clip.cmt" / f"take {n}").provenance for n in (1, 2)]
        assert made[1].options["regenerated"][0]["model_sha256"] == made[0].model_sha256
    finally:
        watcher.end()


def test_the_demo_clip_has_the_shots_that_its_list_says(tmp_path: Path) -> None:
    demo = load("demo_clip")
    wheel = tmp_path / "footage.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for seed, name, size in ((1, demo.BUNNY, (320, 176)), (2, demo.BIKES, (320, 136))):
            clip = clips.write_clip(tmp_path / name, (clips.moved(clips.noise(seed, size), k) for k in range(250)))
            archive.write(clip, demo.FOLDER + name)
    demo.cut(wheel, tmp_path / "a.mp4")
    demo.cut(wheel, tmp_path / "b.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert 28 < demo.seconds() < 34
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert "Blender Foundation" in file.metadata["comment"]
        frames = [(frame.time, frame.to_ndarray(format="gray").astype(np.int16)) for frame in file.decode(video=0)]
    assert frames[0][1].shape == (demo.HEIGHT, demo.WIDTH)
    assert frames[-1][0] == pytest.approx(demo.seconds(), abs=0.1)
    starts = np.cumsum([0, *((shot.last - shot.first) * shot.hold for shot in demo.SHOTS)])[:-1] / demo.RATE
    times = [time for time, _ in frames]
    assert all(np.isclose(times, start, atol=1e-3).any() for start in starts)


def test_the_demo_clip_wants_its_own_footage(tmp_path: Path) -> None:
    (tmp_path / "other.whl").write_bytes(b"x")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo_clip.py"), "other.whl", "a.mp4"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is not the wheel" in done.stderr
    assert not (tmp_path / "a.mp4").exists()
