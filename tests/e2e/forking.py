"""A process that has loaded all that the program loads late, and runs it in forks of itself.

Of a short run of the program most is importing torch. A fork has its own folder, environment, streams and exit code, as
a process that a person starts; what starts slower there is all that differs. Started as a program it serves requests on
stdin, one JSON object a line, until that ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

LOADED = (
    "av", "cv2", "matplotlib.pyplot", "numpy", "symusic", "torch", "cmt_bridge.cli", "cmt_bridge.model.decoding",
    "cmt_bridge.outputs.midi", "cmt_bridge.video.analysis",
)  # fmt: skip


class ForkServer:
    """Runs the program in forks; `run` is like `subprocess.run`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.forking"],
            cwd=Path(__file__).resolve().parents[2],
            env={**environment, "MPLBACKEND": "agg"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run the program to its end and return its exit code and what it printed. Raises `TimeoutExpired`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            streams = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (out, err)]
            request = {"arguments": arguments, "cwd": os.fspath(cwd), "env": dict(env), "streams": streams}
            self._process.stdin.write(json.dumps({**request, "timeout": timeout}) + "\n")
            self._process.stdin.flush()
            code = json.loads(self._process.stdout.readline())
            printed = []
            for file in (out, err):
                file.seek(0)
                printed.append(file.read().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n"))
        if code is None:
            raise subprocess.TimeoutExpired(["cmt-bridge", *arguments], timeout)
        return subprocess.CompletedProcess(["cmt-bridge", *arguments], code, *printed)

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _become(arguments: Sequence[str], cwd: str, env: Mapping[str, str], streams: Sequence[str]) -> NoReturn:
    """Run the program in this process, and end with it."""
    for number, path in enumerate((os.devnull, *streams)):
        handle = os.open(path, os.O_RDWR if number else os.O_RDONLY)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        for number, mode, errors in ((0, "r", "strict"), (1, "w", "surrogateescape"), (2, "w", "backslashreplace"))
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["cmt-bridge", *arguments]
    from cmt_bridge.cli import main

    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait(process: int, timeout: float) -> int | None:
    """Return the exit code of a fork, a signal as its number below 0; None where it took too long and was killed."""
    until = time.monotonic() + timeout
    pause = 0.002
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return None
        time.sleep(pause)
        pause = min(0.05, pause * 1.5)


def _serve() -> None:
    for name in LOADED:
        __import__(name)
    for line in sys.stdin:
        request = json.loads(line)
        timeout = request.pop("timeout")
        sys.stdout.flush()
        process = os.fork()
        if not process:
            _become(**request)
        sys.stdout.write(json.dumps(_wait(process, timeout)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
