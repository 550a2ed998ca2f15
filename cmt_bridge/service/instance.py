"""Instances: one daemon per folder, and where others find it.

What a daemon keeps lies in a state folder, one per watched folder, that only its owner can enter:

    lock            held by the operating system as long as the daemon lives
    instance.json   process, port, version, start
    token           what a program must say to be let in
    jobs.db, daemon.log, daemon.err

Whether a daemon lives is told by its lock, not by its process number: the lock goes with the process however that ends,
and a number may belong to another by then. Every look at a lock is taken under one short lock of the whole root, so
that of two daemons that start at once, on one folder or one inside the other, exactly one goes on, and so that nobody's
look can stand in another's way.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from cmt_bridge import __version__
from cmt_bridge.config import STATE_VARIABLE, state_root
from cmt_bridge.core.files import complete_path, open_regular, read_regular
from cmt_bridge.core.signature import identity
from cmt_bridge.errors import CmtBridgeError, MissingError, OutputError, UsageError
from cmt_bridge.service.claim import Claim

__all__ = ["HOST", "STATE_VARIABLE", "Held", "Instance", "hold", "instance_for", "instances", "state_folder"]

HOST: Final = "127.0.0.1"  # where a daemon listens, and nowhere else
LOCK, INSTANCE, TOKEN = "lock", "instance.json", "token"
TOKEN_BYTES = 32
TOKEN_FORM = re.compile(r"[A-Za-z0-9_-]{43}")
KEY_DIGITS = 16
PATIENCE = 20.0  # s, for the lock of the root; it is held for milliseconds
MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Instance:
    """A daemon that lives: the folder it watches, its process, and the port of its control API, 0 until it listens."""

    folder: Path
    pid: int
    port: int
    version: str
    started: str

    @property
    def state(self) -> Path:
        """Its state folder."""
        return _state_path(self.folder)

    def token(self) -> str:
        """Return what a program must say to be let in. Raises `MissingError` where the token cannot be read."""
        token = _read_token(self.state / TOKEN)
        if token is None:
            raise MissingError(
                f"The token of the daemon that watches {self.folder} cannot be read.",
                hint=f"Start it again: cmt-bridge daemon stop {self.folder}, then start.",
            )
        return token


class Held:
    """A folder that this process alone watches: its state folder, its token, and what to tell the person.

    `note` is a sentence where a daemon before this one ended without tidying up, else empty.
    """

    def __init__(self, instance: Instance, lock: FileLock, token: str, note: str) -> None:
        self.folder = instance.folder
        self.state = instance.state
        self.token = token
        self.note = note
        self._instance = instance
        self._lock = lock
        self._locked = identity(self.state / LOCK)

    def announce(self, port: int) -> None:
        """Let others know at which port the control API listens. Raises `OutputError`."""
        self._instance = replace(self._instance, port=port)
        _write(self._instance)

    def mend(self) -> str:
        """Bring back what of the state folder was deleted or replaced; return a sentence where that was so, else
        nothing.

        Raises `UsageError` where another daemon watches the folder by now, `OutputError` where it cannot be brought
        back at the moment.
        """
        if self._is_whole():
            return ""
        state_folder(self.folder)
        with _root_lock():
            if not self._is_locked():
                lock = _lock(self.state / LOCK)
                _acquire(lock, self.folder, self.state)
                self._lock.release()
                self._lock, self._locked = lock, identity(self.state / LOCK)
            _refuse_others(self.folder)
            if _read_token(self.state / TOKEN) != self.token:
                _write_token(self.state / TOKEN, self.token)
            _write(self._instance)
        return f"Files in {self.state} were deleted or replaced; they are there again."

    def release(self) -> None:
        """Let another watch the folder."""
        try:
            with _root_lock(), suppress(OSError):
                if _read(self.state) == self._instance:
                    (self.state / INSTANCE).unlink(missing_ok=True)
        finally:
            self._lock.release()

    def _is_locked(self) -> bool:
        return self._locked is not None and identity(self.state / LOCK) == self._locked

    def _is_whole(self) -> bool:
        return (
            self._is_locked() and _read(self.state) == self._instance and _read_token(self.state / TOKEN) == self.token
        )


def state_folder(folder: Path) -> Path:
    """Return the folder where the state of a watched folder lies, made if need be, and for its owner alone.

    Raises `UsageError` where it belongs to somebody else, `OutputError` where it cannot be made.
    """
    path = _state_path(folder)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        if os.name == "posix":
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                raise UsageError(
                    f"{path} belongs to somebody else.", hint=f"Set {STATE_VARIABLE} to a folder of yours."
                )
            if stat.S_IMODE(status.st_mode) & 0o077:
                path.chmod(0o700)
    except OSError as error:
        raise _refuse(path, error) from error
    return path


@contextmanager
def hold(folder: Path) -> Iterator[Held]:
    """Watch a folder alone while the body runs.

    Raises `UsageError` where a living daemon watches it, a folder around it or a folder in it, `OutputError` where the
    state folder cannot be used.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", hint="Give the folder whose videos shall be scored.")
    real = Path(os.path.realpath(folder))
    state = state_folder(real)
    claim = Claim(state.name)
    lock = _lock(state / LOCK)
    try:
        with _root_lock():
            before = _read(state)
            _acquire(lock, real, state)
            if not claim.acquire():
                raise _watched(real, before)
            _refuse_others(real)
            note = ""
            if before is not None:
                note = f"The daemon that watched {real} before (process {before.pid}) ended without tidying up."
            held = Held(Instance(real, os.getpid(), 0, __version__, _now()), lock, _keep_token(state / TOKEN), note)
            held.announce(0)
        try:
            yield held
        finally:
            held.release()
    finally:
        lock.release()
        claim.release()


def _acquire(lock: FileLock, real: Path, state: Path) -> None:
    """Take the lock of a folder's state. Raises `UsageError` where another process has it, `OutputError`."""
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise _watched(real, _read(state)) from None
    except OSError as error:
        raise _refuse(state, error) from error


def _refuse_others(real: Path) -> None:
    """Raise `UsageError` where a daemon watches a folder around another, or in it. The caller has the root's lock."""
    for other in _living():
        if other.folder != real and (_within(other.folder, real) or _within(real, other.folder)):
            raise _watched(real, other)


def instances() -> list[Instance]:
    """Return all daemons of this user that live, by folder."""
    if not state_root().is_dir():
        return []
    with _root_lock():
        return sorted(_living(), key=lambda instance: instance.folder)


def instance_for(path: Path) -> Instance | None:
    """Return the living daemon whose folder is `path` or holds it, if there is one."""
    real = Path(os.path.realpath(path))
    return next((instance for instance in instances() if _within(real, instance.folder)), None)


def _state_path(folder: Path) -> Path:
    name = os.fsencode(os.path.normcase(os.path.realpath(folder)))
    return state_root() / hashlib.sha256(name).hexdigest()[:KEY_DIGITS]


def _lock(path: Path) -> FileLock:
    """Return a lock that the operating system lets go of when the process ends; no imitation of one."""
    return FileLock(path, thread_local=False, fallback_to_soft=False)


@contextmanager
def _root_lock() -> Iterator[None]:
    lock = _lock(state_root() / LOCK)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise CmtBridgeError(
            f"{state_root()} is locked by another process.",
            hint="Look for a cmt-bridge process that hangs, and end it.",
        ) from None
    except OSError as error:
        raise _refuse(state_root(), error) from error
    try:
        yield
    finally:
        lock.release()


def _living() -> Iterator[Instance]:
    """Yield the instances whose lock is held. The caller has the lock of the root."""
    for path in state_root().glob(f"*/{INSTANCE}"):
        instance = _read(path.parent)
        if instance is not None and _is_held(path.parent / LOCK):
            yield instance


def _is_held(path: Path) -> bool:
    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _within(path: Path, folder: Path) -> bool:
    """Return whether a real path is a folder or lies in it, whichever way the folder's name is written."""
    for each in (path, *path.parents):
        if each == folder:
            return True
        with suppress(OSError):
            if each.samefile(folder):
                return True
    return False


def _watched(folder: Path, by: Instance | None) -> UsageError:
    if by is None:
        return UsageError(f"{folder} is being watched already.", hint="See `cmt-bridge daemon status`.")
    hint = (
        f"It does what `cmt-bridge score` and `regenerate` ask for; end it with `cmt-bridge daemon stop {by.folder}`."
    )
    process = f"by process {by.pid}"
    if by.folder == folder:
        return UsageError(f"{folder} is being watched already {process}.", hint=hint)
    return UsageError(f"{folder} cannot be watched: {by.folder} is being watched already {process}.", hint=hint)


def _read(state: Path) -> Instance | None:
    try:
        data = json.loads(read_regular(state / INSTANCE, MOST_BYTES))
        return Instance(
            folder=Path(str(data["folder"])),
            pid=int(data["pid"]),
            port=int(data["port"]),
            version=str(data["version"]),
            started=str(data["started"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _write(instance: Instance) -> None:
    data = asdict(instance) | {"folder": str(instance.folder)}
    with complete_path(instance.state / INSTANCE) as temporary:
        temporary.write_text(json.dumps(data, indent=2), encoding="ascii")


def _read_token(path: Path) -> str | None:
    """Return the token, or None where there is none that only its owner could know."""
    try:
        with open_regular(path) as file:
            status = os.fstat(file.fileno())
            if os.name == "posix" and (stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.getuid()):
                return None
            token = file.read(MOST_BYTES).decode("ascii", "replace")
    except OSError:
        return None
    return token if TOKEN_FORM.fullmatch(token) else None


def _keep_token(path: Path) -> str:
    """Return the token, made anew where there is none to be trusted."""
    token = _read_token(path)
    if token is not None:
        return token
    token = secrets.token_urlsafe(TOKEN_BYTES)
    _write_token(path, token)
    return token


def _write_token(path: Path, token: str) -> None:
    try:
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(token)
    except OSError as error:
        raise _refuse(path, error) from error


def _refuse(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    return OutputError(f"Cannot use {path}: {reason}.", hint=f"Set {STATE_VARIABLE} to a folder on a local drive.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
