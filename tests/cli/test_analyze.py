from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clips import pulsing, write_clip

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip in another folder than the current one."""
    monkeypatch.setenv("CMT_BRIDGE_CACHE", str(tmp_path / "cache"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return write_clip(tmp_path / "a.clip.mp4", pulsing(8, 10, 100), 10)


def test_metadata_is_written_here_and_never_over_another(run: Run, clip: Path) -> None:
    assert run("analyze", clip)[:2] == (0, "a.clip.metadata.json\n")
    first = Path("a.clip.metadata.json").read_bytes()
    data = json.loads(first)
    assert {"duration", "tempo", "vbeats", "flow_magnitude_per_bar", "version", "cuts", "source"} <= data.keys()
    assert data["tempo"] == pytest.approx(100, rel=0.01)
    assert data["vbeats"][0].keys() == {"start_time", "bar", "tick", "weight"}

    code, out, err = run("analyze", clip, "--tempo", 90)
    assert (code, out) == (0, "a.clip.metadata (2).json\n")
    assert "90 BPM (given)" in err
    assert Path("a.clip.metadata.json").read_bytes() == first


def test_json_goes_to_stdout_alone(run: Run, clip: Path) -> None:
    code, out, err = run("analyze", clip, "--json")
    assert code == 0
    assert json.loads(out)["source"]["name"] == "a.clip.mp4"
    assert "BPM (estimated)" in err
    assert not list(Path().iterdir())


def test_a_named_file_is_only_replaced_by_force(run: Run, clip: Path) -> None:
    target = Path("mine.json")
    target.write_text("mine")
    code, out, err = run("analyze", clip, "-o", target)
    assert (code, out) == (5, "")
    assert "exists already" in err
    assert "--force" in err
    assert target.read_text() == "mine"
    assert run("analyze", clip, "-o", target, "--force")[0] == 0
    assert json.loads(target.read_text())["duration"] == pytest.approx(8.0)


def test_the_video_itself_is_never_replaced(run: Run, clip: Path) -> None:
    before = clip.read_bytes()
    assert run("analyze", clip, "-o", clip, "--force")[0] == 5
    assert clip.read_bytes() == before


def test_a_figure_is_drawn_on_request(run: Run, clip: Path) -> None:
    code, out, _ = run("analyze", clip, "-o", "m.json", "--plot", "figure.png")
    assert (code, out) == (0, "m.json\nfigure.png\n")
    assert Path("figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--tempo", "0"), 2),
        (("--tempo", "nan"), 2),
        (("--tempo-range", "100", "90"), 2),
        (("--cut-sensitivity", "2"), 2),
        (("--plot", "figure.docx"), 2),
        (("-o", "x.png", "--plot", "x.png"), 2),
        (("-o", "."), 5),
    ],
)
def test_what_cannot_work_stops_before_the_work(run: Run, clip: Path, options: tuple[str, ...], code: int) -> None:
    result, out, err = run("analyze", clip, *options)
    assert (result, out) == (code, "")
    assert err.startswith("cmt-bridge: ")
    assert err.count("\n") == 1
    assert not list(Path().iterdir())
    assert not (clip.parent / "cache").exists()


def test_a_bad_video_is_one_line_and_leaves_nothing(run: Run, clip: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(clip.read_bytes()[:500])
    code, out, err = run("analyze", bad, "-o", "m.json", "--plot", "p.png")
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert not list(Path().iterdir())
