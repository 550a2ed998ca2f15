"""Scripts inside DAWs: what there is for each host, where it goes, and how it is taken away again.

A script is copied to where its host looks for scripts. Beside the copies lies a list of them with their hashes, so that
nothing is replaced or removed that somebody changed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cmt_bridge.config import state_root
from cmt_bridge.core.files import complete_path, is_temporary, sha256_of
from cmt_bridge.core.hosts import HOSTS, Host
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import MissingError, UsageError

__all__ = [
    "Installed",
    "host_of",
    "install",
    "list_hosts",
    "page_of",
    "pages_folder",
    "place_of",
    "remove",
    "scripts_folder",
]

RECEIPT: Final = ".cmt-bridge.json"
FORMAT: Final = "cmt-bridge-scripts"
COMMON: Final = "common"  # what scripts of several hosts share
JOINED: Final = b"--@lib"  # where in Ardour's actions the library goes
WHERE: Final = b'/*@where*/ { state: "" }'  # where in Bitwig's script the state folder goes


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation or a removal came to: the folder, the files, and those that were left since they changed."""

    folder: Path
    files: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def scripts_folder() -> Path:
    """Return the folder of the scripts that come with cmt-bridge: in the package, or in a checkout beside it."""
    package = Path(__file__).parents[1]
    inside = package / "host_scripts"
    return inside if inside.is_dir() else package.parent / "host_scripts"


def pages_folder() -> Path:
    """Return the folder of the pages that tell all of each host: in the package, or in a checkout beside it."""
    package = Path(__file__).parents[1]
    inside = package / "host_pages"
    return inside if inside.is_dir() else package.parent / "docs" / "hosts"


def page_of(host: Host) -> Path:
    """Return the page of a host."""
    return pages_folder() / f"{host.name}.md"


def host_of(name: str) -> Host:
    """Return a host. Raises `UsageError` where there is none of that name."""
    found = HOSTS.get(name)
    if found is None:
        raise UsageError(f"There is no host {name!r}.", hint=f"Choose from {', '.join(HOSTS)}.")
    return found


@takes_paths
def place_of(host: Host, *, platform: str = sys.platform, home: Path | None = None) -> Path | None:
    """Return the folder where a host looks for scripts on a system; None where it has none there."""
    place = host.places.get("linux" if platform.startswith("linux") else platform)
    return None if place is None else (Path.home() if home is None else home) / place


def list_hosts() -> list[dict[str, Any]]:
    """Return all hosts: what there is for each, and which files of ours lie where."""
    found = []
    for host in HOSTS.values():
        place = place_of(host)
        receipt = _receipt(place) if place is not None else {}
        found.append(
            {
                "host": host.name,
                "title": host.title,
                "scripts": bool(place is not None and _sources(host)),
                "folder": None if place is None else str(place),
                "installed": sorted(receipt),
                "page": str(page_of(host)),
            }
        )
    return found


@takes_paths
def install(name: str, folder: Path | None = None) -> Installed:
    """Copy the scripts of a host to where it looks for them, or to a folder.

    Raises `UsageError` where a file of ours was changed there or one of somebody else's has its name, `MissingError`
    where there are no scripts for this system, `OutputError` where they cannot be written.
    """
    host = host_of(name)
    place = place_of(host) if folder is None else folder.absolute()
    if not host.scripts or place is None:
        raise MissingError(
            f"There are no scripts for {host.title} on this system.", hint=f"See `cmt-bridge hosts show {host.name}`."
        )
    sources = _sources(host)
    receipt = _receipt(place)
    made = sum(not each.exists() for each in (place, *place.parents)) or _folders_made(place)
    changed = [each for each in sources if (place / each).exists() and not _is_ours(place, each, receipt)]
    if changed:
        raise UsageError(
            f"{place / changed[0]} is there, and it is not as cmt-bridge wrote it.", hint="Move it away first."
        )
    written = {}
    for each, content in sources.items():
        with complete_path(place / each) as temporary:
            temporary.write_bytes(content)
        written[each] = sha256_of(place / each)
    for each in receipt.keys() - written.keys():  # of a version before
        if _is_ours(place, each, receipt):
            (place / each).unlink(missing_ok=True)
    _write_receipt(place, written, made)
    return Installed(place, tuple(sorted(sources)))


@takes_paths
def remove(name: str, folder: Path | None = None) -> Installed:
    """Remove the scripts of a host that are as they were written, and the folders that were made for them.

    Raises `UsageError` where there are none of ours.
    """
    host = host_of(name)
    place = place_of(host) if folder is None else folder.absolute()
    receipt = _receipt(place) if place is not None else {}
    if place is None or not receipt:
        raise UsageError(
            f"No scripts of cmt-bridge are installed for {host.title}.", hint="See `cmt-bridge hosts list`."
        )
    mine = [each for each in receipt if _is_ours(place, each, receipt)]
    left = [each for each in receipt if each not in mine and (place / each).exists()]
    for each in mine:
        (place / each).unlink(missing_ok=True)
    made = _folders_made(place)
    (place / RECEIPT).unlink(missing_ok=True)
    _tidy(place, mine, made)
    return Installed(place, tuple(sorted(mine)), tuple(sorted(left)))


def _tidy(place: Path, files: list[str], made: int) -> None:
    """Remove the folders of files that are gone, and those that were made for them, where nothing is left in them."""
    folders = {folder for name in files for folder in (place / name).parents if folder.is_relative_to(place)}
    for folder in sorted(folders | {place}, reverse=True):
        if folder.is_dir():
            for path in [each for each in folder.iterdir() if is_temporary(each.name) and each.is_file()]:
                path.unlink()  # of an installation that was killed
    for folder in [*sorted(folders, reverse=True), *(place, *place.parents)[:made]]:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _sources(host: Host) -> dict[str, bytes]:
    """Return the files of a host's scripts, by their path in its folder, as they are written there."""
    root = scripts_folder() / host.scripts
    if not host.scripts or not root.is_dir():
        return {}
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.suffix in (".lua", ".js") and not path.name.startswith(".")
    }
    common = {path.name: path.read_bytes() for path in sorted((scripts_folder() / COMMON).glob("*.lua"))}
    where = f"{{ program = {_lua(_program())}, state = {_lua(str(state_root()))} }}"
    if host.scripts == "macos":
        found["where.json"] = json.dumps({"program": _program(), "host": host.name}, indent=2).encode()
    elif host.scripts == "bitwig":
        state = json.dumps({"state": str(state_root())}).encode()
        found = {name: text.replace(WHERE, state) for name, text in found.items()}
    elif host.scripts == "reaper":
        found |= {f"lib/{name}": text for name, text in common.items()}
        found["where.lua"] = f"return {where}\n".encode()
    elif host.scripts == "ardour":
        # Ardour keeps of a script only its factory, so each has all that it needs within.
        modules = [f"local {Path(name).stem} = (function()\n{text.decode()}\nend)()" for name, text in common.items()]
        library = "\n".join([*modules, f"local where = {where}", found.pop("lib.lua").decode()]).encode()
        found = {name: text.replace(JOINED, library) for name, text in found.items()}
    return found


def _program() -> str:
    """Return the program as a host starts it, whose PATH may be another."""
    beside = Path(sys.executable).with_name("cmt-bridge.exe" if os.name == "nt" else "cmt-bridge")
    return str(beside if beside.exists() else Path(sys.argv[0]).absolute())


def _lua(text: str) -> str:
    """Return a text as Lua writes it."""
    plain = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 /:._-()")
    return '"' + "".join(chr(b) if chr(b) in plain else f"\\{b:03d}" for b in os.fsencode(text)) + '"'


def _receipt(place: Path) -> dict[str, str]:
    """Return the hashes of what was written to a folder, by path; nothing where that is not known."""
    try:
        data = json.loads((place / RECEIPT).read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            return {}
        return {str(name): str(sha256) for name, sha256 in data["files"].items() if not _leads_out(str(name))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _folders_made(place: Path) -> int:
    """Return how many folders, that of the scripts and those around it, were made for them."""
    try:
        made = json.loads((place / RECEIPT).read_text(encoding="utf-8")).get("folders", 0)
    except (OSError, ValueError, AttributeError):
        return 0
    return made if isinstance(made, int) and 0 <= made <= len(place.parents) else 0


def _leads_out(name: str) -> bool:
    return Path(name).is_absolute() or ".." in Path(name).parts


def _write_receipt(place: Path, files: Mapping[str, str], folders: int) -> None:
    with complete_path(place / RECEIPT) as temporary:
        temporary.write_text(
            json.dumps({"format": FORMAT, "files": files, "folders": folders}, indent=2), encoding="utf-8"
        )


def _is_ours(place: Path, name: str, receipt: Mapping[str, str]) -> bool:
    """Return whether a file is as it was written."""
    try:
        return name in receipt and sha256_of(place / name) == receipt[name]
    except OSError:
        return False
