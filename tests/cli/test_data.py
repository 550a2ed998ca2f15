from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cmt_bridge.training.dataset import open_dataset
from tests.training.music import write_song

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for seed in range(6):
        write_song(tmp_path / "music" / f"{seed}.mid", seed)
    (tmp_path / "music" / "bad.mid").write_bytes(b"no")
    return tmp_path / "music"


def test_build_and_show(run: Run, music: Path, tmp_path: Path) -> None:
    code, out, err = run("data", "build", music, "-o", tmp_path / "dataset", "--held-out", 0.3)
    assert (code, out) == (0, f"{tmp_path / 'dataset'}\n")
    assert "7 files; left out: 1 unreadable or empty" in err
    assert len(open_dataset(tmp_path / "dataset").training) == 5
    code, out, shown = run("data", "show", tmp_path / "dataset")
    assert (code, shown) == (0, "")
    assert out == err
    assert [line.split()[:3] for line in out.splitlines()][1:3] == [["songs", "5", "1"], ["pieces", "5", "1"]]


def test_json(run: Run, music: Path, tmp_path: Path) -> None:
    code, out, err = run("data", "build", music, "-o", tmp_path / "dataset", "--held-out", 0.3, "--json")
    assert (code, err) == (0, "")
    built = json.loads(out)
    assert built["dataset"] == str(tmp_path / "dataset")
    assert built["skipped"] == {"unreadable or empty": 1}
    assert built["training"]["pieces"] == 5
    assert built["training"]["instruments"]["Bass"] == 320
    assert json.loads(run("data", "show", tmp_path / "dataset", "--json")[1]) == built


def test_what_cannot_be_done_is_one_line(
    run: Run, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for code, arguments in (
        (2, ("build", "music")),
        (2, ("build", "-o", "dataset")),
        (2, ("build", "music", "-o", "..")),
        (2, ("build", "music", "-o", "/")),
        (2, ("build", "music", "-o", "dataset", "--held-out", "1")),
        (2, ("build", "music", "-o", "dataset", "--held-out", "nan")),
        (2, ("build", "music", "-o", "dataset", "--workers", "0")),
        (3, ("build", "nowhere", "-o", "dataset")),
        (3, ("build", "empty", "-o", "dataset")),
        (5, ("build", "music", "-o", "music")),
        (5, ("build", "music", "-o", "music/0.mid/dataset")),
        (3, ("show", "music")),
        (3, ("show", "nowhere")),
    ):
        got, out, err = run("data", *arguments)
        assert (got, out, err.count("\n")) == (code, "", 1), arguments
        assert err.startswith("cmt-bridge: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "music"]
    assert len(list(music.iterdir())) == 7


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    path = write_song(tmp_path / "music" / "0.mid", 0, bars=400)
    for number in range(400):
        os.link(path, tmp_path / "music" / f"copy{number}.mid")
    code = "from cmt_bridge.cli import main; main()"
    words = [sys.executable, "-c", code, "data", "build", "music", "-o", "a/dataset", "--workers", "2"]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(tmp_path.glob("a/.dataset*/notes.npy")):
        time.sleep(0.01)
    time.sleep(0.5)  # the readers are at work
    os.killpg(process.pid, signal.SIGINT)
    try:
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, error
    assert error.strip() == "cmt-bridge: interrupted; nothing half-written was left behind."
    assert [path.name for path in tmp_path.iterdir()] == ["music"]
