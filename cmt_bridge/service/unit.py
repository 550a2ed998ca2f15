"""Start a daemon with the person's session: a systemd user unit, or a launchd agent."""

from __future__ import annotations

import hashlib
import os
import plistlib
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cmt_bridge.core.files import complete_path
from cmt_bridge.errors import MissingError, UsageError

__all__ = ["Unit", "unit_for"]

MARK: Final = b"cmt_bridge"  # the module that both kinds of file start
RESTART_SECONDS: Final = 5
OURS: Final = "CMT_BRIDGE_"  # how the variables begin that say where things lie; they hold for the service too


@dataclass(frozen=True, slots=True)
class Unit:
    """The file that makes the system start a daemon: where it lies, what is in it, and what to say to the system."""

    path: Path
    text: bytes
    begin: str
    end: str

    def install(self) -> None:
        """Write the file. Raises `UsageError` where one of that name is there that is not ours, `OutputError`."""
        if self.path.exists() and not self._is_ours():
            raise UsageError(f"{self.path} is there and is not cmt-bridge's.", hint="Move it away first.")
        with complete_path(self.path) as temporary:
            temporary.write_bytes(self.text)

    def remove(self) -> None:
        """Remove the file. Raises `UsageError` where there is none of ours."""
        if not self.path.exists() or not self._is_ours():
            raise UsageError(f"There is no {self.path} of cmt-bridge.", hint="Name the folder it was installed for.")
        self.path.unlink()

    def _is_ours(self) -> bool:
        return MARK in self.path.read_bytes()


def unit_for(folder: Path, *, platform: str = sys.platform, home: Path | None = None) -> Unit:
    """Give the unit for a watched folder. Raises `MissingError` on systems that have no such thing."""
    home = Path.home() if home is None else home
    real = os.path.realpath(folder)
    key = hashlib.sha256(os.fsencode(real)).hexdigest()[:8]
    word = re.sub(r"[^A-Za-z0-9]+", "-", Path(real).name).strip("-").lower() or "folder"
    command = [sys.executable, "-m", "cmt_bridge", "watch", real]
    if platform == "darwin":
        label = f"org.cmt-bridge.{word}.{key}"
        path = home / "Library" / "LaunchAgents" / f"{label}.plist"
        said = shlex.quote(str(path))
        return Unit(path, _launchd(label, command), f"launchctl load {said}", f"launchctl unload {said}")
    if platform.startswith("linux"):
        name = f"cmt-bridge-{word}-{key}.service"
        base = os.environ.get("XDG_CONFIG_HOME")
        path = (Path(base) if base else home / ".config") / "systemd" / "user" / name
        begin = f"systemctl --user daemon-reload && systemctl --user enable --now {name}"
        return Unit(path, _systemd(real, command), begin, f"systemctl --user disable --now {name}")
    raise MissingError(
        "cmt-bridge writes no service for this system.",
        hint="Let its task scheduler run `cmt-bridge watch FOLDER` when you log in.",
    )


def _systemd(folder: str, command: list[str]) -> bytes:
    words = " ".join(_quoted(word) for word in command)
    shown = "".join(letter if letter.isprintable() else "_" for letter in folder).replace("%", "%%")
    environment = "".join(f"Environment={_quoted(f'{name}={value}', dollar='$')}\n" for name, value in _said().items())
    text = f"""[Unit]
Description=cmt-bridge watches {shown}
StartLimitIntervalSec=0

[Service]
{environment}ExecStart={words}
Restart=on-failure
RestartSec={RESTART_SECONDS}
KillMode=mixed
Nice=5

[Install]
WantedBy=default.target
"""
    return text.encode(errors="surrogateescape")


def _said() -> dict[str, str]:
    """Give our variables as they are said here."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(OURS)}


def _quoted(word: str, *, dollar: str = "$$") -> str:
    """Give a word as systemd reads it back; `dollar` is what stands for a dollar sign."""
    escaped = (
        word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%").replace("$", dollar)
    )
    return f'"{escaped}"'


def _launchd(label: str, command: list[str]) -> bytes:
    return plistlib.dumps(
        {
            "Label": label,
            "ProgramArguments": command,
            "EnvironmentVariables": _said(),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": RESTART_SECONDS,
            "ProcessType": "Background",
        }
    )
