from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cmt_bridge.errors import CheckpointError, CmtBridgeError, MissingError, OutputError, UsageError, VideoError
from cmt_bridge.ipc.serve import Channel
from cmt_bridge.service.worker import Progress, carry_out

PATIENCE = 120


def answer_to(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> dict[str, Any]:
    """Carry out a request that ends in an error."""

    def score(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("cmt_bridge.scoring.score.score", score)
    message = {"verb": "score", "request": {"path": "clip.mp4"}}
    found: dict[str, Any] = carry_out(message, Progress(Channel(io.StringIO())))["error"]
    return found


def full() -> OutputError:
    error = OutputError("Cannot write it.")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (VideoError("It is no video."), 3, "clip"),
        (CheckpointError("It is no model."), 3, "other file"),
        (UsageError("There is no such style."), 2, "other file"),
        (MissingError("There is no such model."), 4, "other file"),
        (OutputError("Cannot write it."), 5, "other file"),
        (full(), 5, "full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 5, "full"),
        (PermissionError(errno.EACCES, "Permission denied", "a.mp4"), 5, "other file"),
        (CmtBridgeError("Something went wrong."), 1, "other"),
        (MemoryError(), 1, "other"),
        (RuntimeError("CUDA"), 1, "other"),
    ],
)
def test_an_error_says_what_is_to_be_put_in_order(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, kind: str
) -> None:
    answer = answer_to(monkeypatch, error)
    assert (answer["code"], answer["kind"]) == (code, kind)
    assert str(CmtBridgeError.from_json(answer))


def test_progress_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    channel = io.StringIO()
    progress = Progress(Channel(channel))
    for step in range(8):
        now = step / 8
        progress("measure" if step < 5 else "compose", now)
    told = [json.loads(line) for line in channel.getvalue().splitlines()]
    assert [(each["stage"], each["share"]) for each in told] == [
        ("measure", 0.0), ("measure", 0.25), ("measure", 0.5), ("compose", 0.625), ("compose", 0.875),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_worker_ends_with_its_input(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cmt_bridge.service.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        duration = 3600.0
        data = {"duration": duration, "tempo": 120.0, "vbeats": [], "flow_magnitude_per_bar": [0.5] * 1800}
        (tmp_path / "metadata.json").write_text(json.dumps(data))
        request = {"path": str(tmp_path / "metadata.json"), "output": str(tmp_path / "music")}
        process.stdin.write(json.dumps({"verb": "score", "request": request}).encode() + b"\n")
        process.stdin.flush()
        stage = ""
        while stage != "compose":
            stage = json.loads(process.stdout.readline())["stage"]
        process.stdin.close()
        process.wait(PATIENCE)
    assert process.returncode in (0, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["metadata.json"]
