"""Errors: one tree, one form on every way between processes."""

from __future__ import annotations

import errno
import json

import pytest

from cmt_bridge.errors import (
    CheckpointError,
    CmtBridgeError,
    InputError,
    MissingError,
    OutputError,
    UsageError,
    VideoError,
    known_error,
)


@pytest.mark.parametrize("kind", [CmtBridgeError, UsageError, InputError, MissingError, OutputError])
def test_an_error_comes_back_as_it_was(kind: type[CmtBridgeError]) -> None:
    error = kind("It is damaged.", hint="Export it again.")
    data = error.to_json()
    assert data == {"error": "It is damaged.", "hint": "Export it again.", "code": kind.exit_code}
    back = CmtBridgeError.from_json(json.loads(json.dumps({**data, "event": "error"})))
    assert (type(back), str(back), back.hint) == (kind, str(error), error.hint)


@pytest.mark.parametrize("kind", [VideoError, CheckpointError])
def test_a_kind_of_input_error_comes_back_as_input_error(kind: type[CmtBridgeError]) -> None:
    assert type(CmtBridgeError.from_json(kind("It is damaged.").to_json())) is InputError


def test_an_error_with_no_hint_or_other_code_is_read() -> None:
    back = CmtBridgeError.from_json({"error": "Odd.", "code": 77})
    assert (type(back), str(back)) == (CmtBridgeError, "Odd.")


@pytest.mark.parametrize("data", [{}, {"error": "A."}, {"code": 2}, {"error": "A.", "code": "two"}, [], None])
def test_what_is_no_error_is_refused(data: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        CmtBridgeError.from_json(data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "a.mp4"), 5, "Permission denied: a.mp4."),
        (OSError(errno.ENOSPC, "No space left"), 5, "No space left. Free some space, then run it again."),
        (MemoryError(), 1, "out of memory. Close other programs, or use a smaller file."),
        (RuntimeError("CUDA"), 1, "internal error: RuntimeError('CUDA'). Report it."),
    ],
)
def test_any_exception_becomes_a_known_error(error: Exception, code: int, text: str) -> None:
    known = known_error(error, hint="Report it.")
    assert (known.exit_code, str(known), known.__cause__) == (code, text, error)


def test_a_known_error_stays_as_it_is() -> None:
    error = VideoError("It is no video.")
    assert known_error(error) is error
