from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line; give its exit code, stdout and stderr."""

    def run_(*arguments: object) -> tuple[int, str, str]:
        from cmt_bridge.cli import main

        monkeypatch.setattr("sys.argv", ["cmt-bridge", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return code, *capsys.readouterr()

    return run_
