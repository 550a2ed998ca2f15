"""A child for tests: it answers with what it was sent, prints beside its messages, and does as `do` says."""

from __future__ import annotations

import os
import sys
import time

from cmt_bridge.ipc.serve import Channel, Receiver, begin, end_on_sigterm


def main() -> None:
    channel = Channel(begin(niceness=3))
    end_on_sigterm()
    receiver = Receiver(tidying=float(os.environ.get("TIDYING", "0.2")), interrupt="INTERRUPT" in os.environ)
    try:
        while (message := receiver.get()) is not None:
            match message.get("do"):
                case "print":
                    print("no message", flush=True)  # noqa: T201
                    os.write(1, b"no message either\n")
                    channel.send(message)
                case "work":
                    channel.send(message)
                    time.sleep(60)
                case "hang":
                    channel.send(message)
                    os.kill(os.getpid(), 19)
                case "nonsense":
                    os.write(channel._file.fileno(), b"{no JSON\n")
                    time.sleep(60)
                case "exit":
                    os._exit(message["code"])
                case _:
                    channel.send({**message, "nice": os.nice(0), "path": sys.path})
    finally:
        if "TIDIED" in os.environ:
            with open(os.environ["TIDIED"], "w", encoding="utf-8") as file:  # noqa: PTH123
                file.write("tidied")


if __name__ == "__main__":
    main()
