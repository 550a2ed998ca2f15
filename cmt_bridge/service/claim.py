"""A claim on a name: held by one process of a user as long as it lives, without a file that somebody could delete."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from contextlib import suppress

__all__ = ["Claim"]

CREDENTIALS = struct.Struct("3i")  # process, user and group at the other end
PATIENCE = 1.0  # s, for who holds a name to be reached; the system answers for it


class Claim:
    """A claim that is held from `acquire` to `release`, or to the end of the process.

    On Linux it is a socket of an abstract name. Other systems have no such thing: there every claim is granted, and
    files alone tell who is first. Names that another user took tell nothing, and are passed over.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._socket: socket.socket | None = None

    def acquire(self) -> bool:
        """Take the name; return whether it was free."""
        if sys.platform != "linux":
            return True
        address = f"\0cmt-bridge {os.getuid()} {self._name}"
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(address)
            holder.listen(1)
        except OSError as error:
            holder.close()
            return error.errno != errno.EADDRINUSE or not _is_ours(address)
        self._socket = holder
        return True

    def release(self) -> None:
        """Let go of the name."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _is_ours(address: str) -> bool:
    """Return whether a process of this user holds a name; True where that cannot be known."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(PATIENCE)
        try:
            asking.connect(address)
        except ConnectionRefusedError:
            return False  # ours listen
        except OSError:
            return True
        with suppress(OSError):
            told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
            return bool(CREDENTIALS.unpack(told)[1] == os.getuid())
    return True
