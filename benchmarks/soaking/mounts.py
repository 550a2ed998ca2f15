"""File systems that come and go."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from soaking.ledger import Row

__all__ = ["bind", "fill", "in_namespace", "mounted", "unmount"]

ISOLATE = ("unshare", "--mount", "--propagation", "private")


def in_namespace(command: Sequence[str]) -> list[Row] | None:
    """Run a command in a mount namespace of its own, so that what it mounts goes with it.

    Give the rows that it writes into the file that `--rows` names, None where one may not mount.
    """
    if not shutil.which("unshare") or subprocess.run([*ISOLATE, "true"], check=False, capture_output=True).returncode:
        return None
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder, "rows.json")
        subprocess.run([*ISOLATE, *command, "--rows", str(rows)], check=False)
        return [Row(**each) for each in json.loads(rows.read_text())]


@contextmanager
def mounted(path: Path, size: str) -> Iterator[None]:
    """Mount an empty disk while the body runs."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        unmount(path, "--lazy")


def bind(disk: Path, path: Path) -> None:
    """Let a disk be in another place as well."""
    subprocess.run(["mount", "--bind", str(disk), str(path)], check=True)


def unmount(path: Path, *options: str) -> bool:
    """Unmount a disk; False where it is in use."""
    return not subprocess.run(["umount", *options, str(path)], check=False, stderr=subprocess.DEVNULL).returncode


def fill(path: Path) -> None:
    """Fill a disk with a file."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
