"""The worker: a process of its own that measures and composes, so that whatever happens in it happens to it alone.

A daemon starts it (`python -m cmt_bridge.service.worker`), writes requests to its standard input and reads messages
from its standard output, a line of JSON each. When the daemon ends, however that comes, its input ends and so does it,
in the middle of a request too: then as after Ctrl-C, so that nothing half-written is left.

    request   {"verb": "score" | "regenerate", "request": {…}, "sha256": "…", "whole": true}
    messages  {"stage": "measure", "share": 0.5}  as it goes on
              {"outcome": {…}}                     and it is ready for the next request
              {"error": {"error", "hint", "code", "kind"}}   the same; `kind` says what is to be put in order: `clip`,
                                                   `other file`, `full` (a disk), or `other`, which nobody knows
"""

from __future__ import annotations

import _thread
import errno
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from cmt_bridge.errors import CmtBridgeError, VideoError, known_error

__all__ = ["carry_out", "main"]

NICENESS = 5  # music that plays goes before music that is being made
TALK_EVERY = 0.2  # s, between two messages of how far it is
TIDYING = 3.0  # s, to clear away what is half-written when it has to end
UNKNOWN = CmtBridgeError.exit_code


class _Talk:
    """Tell how far the request is, now and then."""

    def __init__(self, channel: IO[str]) -> None:
        self._channel = channel
        self._stage, self._at = "", 0.0

    def say(self, message: dict[str, Any]) -> None:
        self._channel.write(json.dumps(message) + "\n")
        self._channel.flush()

    def told(self, stage: str, share: float) -> None:
        now = time.monotonic()
        if stage != self._stage or now - self._at >= TALK_EVERY:
            self._stage, self._at = stage, now
            self.say({"stage": stage, "share": round(share, 3)})


def carry_out(message: dict[str, Any], talk: _Talk) -> dict[str, Any]:
    """Carry out one request and give the message that ends it."""
    from cmt_bridge.verbs.regenerate import RegenerateRequest, regenerate
    from cmt_bridge.verbs.score import ScoreRequest, score

    try:
        if message["verb"] == "score":
            request = ScoreRequest.from_json(message["request"])
            whole = bool(message.get("whole"))
            outcome = score(request, talk.told, sha256=message.get("sha256", ""), whole=whole)
        else:
            outcome = regenerate(RegenerateRequest.from_json(message["request"]), talk.told)
    except Exception as error:
        if not isinstance(error, CmtBridgeError | OSError | MemoryError):
            with suppress(OSError):
                traceback.print_exc()
        return {"error": {**known_error(error).to_json(), "kind": _kind(error)}}
    return {"outcome": outcome.to_json()}


def _kind(error: Exception) -> str:
    """Tell what has to be put in order."""
    if isinstance(error, VideoError):
        return "clip"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return "full"
        cause = cause.__cause__
    return (
        "other file" if isinstance(error, CmtBridgeError | OSError) and type(error) is not CmtBridgeError else "other"
    )


def _read(requests: queue.Queue[dict[str, Any] | None]) -> None:
    """Take in requests until the daemon is gone; then end, whatever is being done."""
    with suppress(OSError, ValueError):
        for line in sys.stdin:
            requests.put(json.loads(line))
    requests.put(None)
    _thread.interrupt_main(signal.SIGTERM)
    time.sleep(TIDYING)
    os._exit(UNKNOWN)


def _stop(*_: Any) -> NoReturn:
    raise SystemExit


def main() -> None:
    """Serve a daemon until it ends."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is talk and no message
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)
    with suppress(OSError):
        os.chdir(Path(sys.executable).anchor)  # no folder of the person's is kept from being unmounted
    signal.signal(signal.SIGTERM, _stop)
    requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    talk = _Talk(channel)
    while (message := requests.get()) is not None:
        answer = carry_out(message, talk)
        try:
            talk.say(answer)
        except (OSError, ValueError):
            return


if __name__ == "__main__":
    main()
