"""Start a daemon with the person's session: a systemd user unit, or a launchd agent."""

from __future__ import annotations

import hashlib
import os
import plistlib
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cmt_bridge.core.files import complete_path, read_regular
from cmt_bridge.errors import MissingError, OutputError, UsageError
from cmt_bridge.ipc.child import command_line

__all__ = ["Unit", "unit_for"]

MARK: Final = b"cmt_bridge"  # the module that both kinds of file start
MOST_BYTES: Final = 1 << 20
RESTART_SECONDS: Final = 5
PATIENCE = 120.0  # s, for a service to stop; the system kills it before
# What a person's own service manager can enforce anywhere, and what a daemon can do without that writes beside videos,
# composes, and plays through JACK and ALSA. Views of the file system (ProtectSystem=, PrivateTmp=, …) are not among it:
# they need a user namespace there, which many systems do not grant, and JACK's server is met in /dev/shm and /tmp. Nor
# are MemoryDenyWriteExecute=, as torch makes code, and RestrictRealtime=, as music is played in time.
HARDENING: Final = """NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native"""
OURS: Final = "CMT_BRIDGE_"  # how the variables begin that say where things lie; they hold for the service too


Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """The file that makes the system start a daemon: where it lies, what is in it, and what to say to the system.

    `begin` is what a person says to start it. `end` stops what it started, for now and for later, and `forget` is said
    when the file is gone.
    """

    path: Path
    text: bytes
    begin: str
    end: tuple[Command, ...]
    forget: tuple[Command, ...] = ()

    def install(self) -> None:
        """Write the file. Raises `UsageError` where one of that name is there that is not ours, `OutputError`."""
        if os.path.lexists(self.path) and not self._is_ours():
            raise UsageError(f"{self.path} is there and is not cmt-bridge's.", hint="Move it away first.")
        with complete_path(self.path) as temporary:
            temporary.write_bytes(self.text)

    def remove(self, still: Callable[[], None] = lambda: None) -> tuple[Path, ...]:
        """Stop what it started, then remove the file and what leads to it; return what of it is a person's and is left.

        `still` stops what runs where the system could not be told to. Raises `UsageError` where there is no file of
        ours, `OutputError`, and what `still` does: then nothing is removed.
        """
        if not self._is_ours():
            raise UsageError(f"There is no {self.path} of cmt-bridge.", hint="Name the folder it was installed for.")
        if not all(_said(command) for command in self.end):
            still()
        try:
            for link in self._links():
                link.unlink()
                if not any(link.parent.iterdir()):
                    link.parent.rmdir()
            self.path.unlink()
        except OSError as error:
            raise OutputError(f"Cannot remove {self.path}: {error.strerror}.", hint="Check its permissions.") from error
        for command in self.forget:
            _said(command)
        added = self.path.with_name(f"{self.path.name}.d")
        return (added,) if added.exists() else ()

    def _links(self) -> list[Path]:
        """Return the links by which the system starts it."""
        return [
            folder / self.path.name
            for kind in ("wants", "requires", "upholds")
            for folder in sorted(self.path.parent.glob(f"*.{kind}"))
            if (folder / self.path.name).is_symlink()
        ]

    def _is_ours(self) -> bool:
        try:
            return MARK in read_regular(self.path, MOST_BYTES)
        except OSError:
            return False


def _said(command: Command) -> bool:
    """Say something to the system; return whether it did as it was told."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def unit_for(folder: Path, *, platform: str = sys.platform, home: Path | None = None) -> Unit:
    """Return the unit for a watched folder. Raises `MissingError` on systems that have no such thing."""
    home = Path.home() if home is None else home
    real = os.path.realpath(folder)
    key = hashlib.sha256(os.fsencode(real)).hexdigest()[:8]
    word = re.sub(r"[^A-Za-z0-9]+", "-", Path(real).name).strip("-").lower() or "folder"
    command = command_line("cmt_bridge", "watch", real)
    if platform == "darwin":
        label = f"org.cmt-bridge.{word}.{key}"
        path = home / "Library" / "LaunchAgents" / f"{label}.plist"
        begin = f"launchctl load {shlex.quote(str(path))}"
        return Unit(path, _launchd(label, command), begin, (("launchctl", "unload", str(path)),))
    if platform.startswith("linux"):
        name = f"cmt-bridge-{word}-{key}.service"
        base = os.environ.get("XDG_CONFIG_HOME")
        path = (Path(base) if base else home / ".config") / "systemd" / "user" / name
        begin = f"systemctl --user daemon-reload && systemctl --user enable --now {name}"
        say = ("systemctl", "--user")
        end = ((*say, "disable", "--now", name),)
        forget = ((*say, "daemon-reload"), (*say, "reset-failed", name))
        return Unit(path, _systemd(real, command), begin, end, forget)
    raise MissingError(
        "cmt-bridge writes no service for this system.",
        hint="Let its task scheduler run `cmt-bridge watch FOLDER` when you log in.",
    )


def _systemd(folder: str, command: list[str]) -> bytes:
    words = " ".join(_quoted(word) for word in command)
    shown = "".join(letter if letter.isprintable() else "_" for letter in folder).replace("%", "%%")
    environment = "".join(
        f"Environment={_quoted(f'{name}={value}', dollar='$')}\n" for name, value in _variables().items()
    )
    text = f"""[Unit]
Description=cmt-bridge watches {shown}
StartLimitIntervalSec=0

[Service]
{environment}ExecStart={words}
Restart=on-failure
RestartSec={RESTART_SECONDS}
KillMode=mixed
Nice=5
{HARDENING}

[Install]
WantedBy=default.target
"""
    return text.encode(errors="surrogateescape")


def _variables() -> dict[str, str]:
    """Return our variables as they are said here."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(OURS)}


def _quoted(word: str, *, dollar: str = "$$") -> str:
    """Return a word as systemd reads it back; `dollar` is what stands for a dollar sign."""
    escaped = (
        word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%").replace("$", dollar)
    )
    return f'"{escaped}"'


def _launchd(label: str, command: list[str]) -> bytes:
    return plistlib.dumps(
        {
            "Label": label,
            "ProgramArguments": command,
            "EnvironmentVariables": _variables(),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": RESTART_SECONDS,
            "ProcessType": "Background",
        }
    )
