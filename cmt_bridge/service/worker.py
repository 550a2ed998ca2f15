"""The worker: a process of its own that measures and composes, so that whatever happens in it happens to it alone.

A daemon starts it (`python -m cmt_bridge.service.worker`), writes requests to its standard input and reads messages
from its standard output, a line of JSON each. When the daemon ends, however that comes, its input ends and so does it,
in the middle of a request too: then as after Ctrl-C, so that nothing half-written is left.

    request   {"verb": "score" | "regenerate", "request": {…}, "sha256": "…", "signature": […], "whole": true}
    messages  {"stage": "measure", "share": 0.5}  as it goes on
              {"outcome": {…}}                     and it is ready for the next request
              {"error": {"error", "hint", "code", "kind"}}   the same; `kind` says what is to be put in order: `clip`,
                                                   `other file`, `full` (a disk), or `other`, which nobody knows
"""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from cmt_bridge.core.signature import FileSignature
from cmt_bridge.errors import CmtBridgeError, VideoError, known_error
from cmt_bridge.ipc.serve import Channel, Message, Receiver, begin, end_on_sigterm

__all__ = ["Progress", "carry_out", "main"]

NICENESS = 5  # music that plays goes before music that is being made
TELL_EVERY = 0.2  # s, between two messages of how far it is


class Progress:
    """Tell the daemon how far a request is, now and then. `channel` leads to the daemon."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stage, self._at = "", 0.0

    def __call__(self, stage: str, share: float) -> None:
        """Tell that `share` (0..1) of a stage is done, unless that stage was told of a moment ago."""
        now = time.monotonic()
        if stage != self._stage or now - self._at >= TELL_EVERY:
            self._stage, self._at = stage, now
            self._channel.send({"stage": stage, "share": round(share, 3)})


def carry_out(message: Message, on_progress: Progress) -> Message:
    """Carry out one request; return the message that ends it."""
    from cmt_bridge.scoring.regenerate import RegenerateRequest, regenerate
    from cmt_bridge.scoring.score import ScoreRequest, score

    try:
        if message["verb"] == "score":
            request = ScoreRequest.from_json(message["request"])
            whole = bool(message.get("whole"))
            signature = FileSignature(*message["signature"]) if "signature" in message else None
            outcome = score(request, on_progress, sha256=message.get("sha256", ""), signature=signature, whole=whole)
        else:
            outcome = regenerate(RegenerateRequest.from_json(message["request"]), on_progress)
    except Exception as error:
        if not isinstance(error, CmtBridgeError | OSError | MemoryError):
            with suppress(OSError):
                traceback.print_exc()
        return {"error": {**known_error(error).to_json(), "kind": _kind(error)}}
    return {"outcome": outcome.to_json()}


def _kind(error: Exception) -> str:
    """Return what has to be put in order."""
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


def main() -> None:
    """Serve a daemon until it ends."""
    channel = Channel(begin(niceness=NICENESS))
    end_on_sigterm()
    with suppress(OSError):
        os.chdir(Path(sys.executable).anchor)  # no folder of the person's is kept from being unmounted
    requests, progress = Receiver(interrupt=True), Progress(channel)
    while (message := requests.get()) is not None:
        channel.send(carry_out(message, progress))


if __name__ == "__main__":
    main()
