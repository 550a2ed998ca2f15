"""The configuration file: cmt-bridge.toml of a folder, for the clips in it and below it.

    [score]                       # as the options of `cmt-bridge score`
    instruments = ["drums", "bass", "piano"]
    style = "rock"
    control = 0.7
    tempo_range = [80, 120]

    [outputs]
    drop = "."                    # where the current take's files go, from the clip's folder
    files = ["midi"]              # or "score", "preview"
    host = "reaper"
    project = ["reaper"]          # a project of these beside them, as `cmt-bridge export` writes it

    [watch]                       # of the watched folder itself
    ignore = ["proxies/*"]

    [live]                        # as the options of `cmt-bridge stream`
    follow = "mtc"
    to = ["ardour:MIDI 1/midi_in"]
    latency = {strings = 30}
    warm = true                   # a daemon has the model ready, so that music begins at once

A file in a folder further down says what is different there. A file is read anew for every job, so changes hold from
the next one on.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import UsageError
from cmt_bridge.player.order import BACKENDS, FOLLOWS, LEADS
from cmt_bridge.settings import SCORE_SETTINGS, Settings, as_text

__all__ = [
    "FILE_NAME",
    "PROJECTS",
    "STATE_VARIABLE",
    "Config",
    "Outputs",
    "Watching",
    "read_config",
    "state_root",
]

FILE_NAME: Final = "cmt-bridge.toml"
STATE_VARIABLE: Final = "CMT_BRIDGE_STATE"
MOST_BYTES = 1 << 20
ALIASES: Final = {"genre": "style", "C": "control", "c": "control"}
FILES: Final = ("midi", "score", "preview")
PROJECTS: Final = ("reaper", "dawproject", "ardour", "midi", "garageband", "otio", "csv", "edl")
LIVE_TEXTS: Final = {"follow": ("", *FOLLOWS), "backend": BACKENDS, "name": (), "start": ()}
LIVE_LISTS: Final = ("lead", "to", "sync_to", "from", "controls_from")
LIVE_SWITCHES: Final = ("port_per_track", "chase", "warm")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the files of a current take are dropped: `drop` is a folder, from the clip's own; empty for nowhere.

    `files` are of `FILES`; `host` is one of `HOSTS`, or empty; `projects` are of `PROJECTS`.
    """

    drop: str = "."
    files: tuple[str, ...] = ("midi",)
    host: str = ""
    projects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Watching:
    """How a folder is watched.

    `settle` is how many seconds a file must not change before it is used; `polling` looks at a network drive again and
    again (None: where the drive says that it is one); `ignore` are patterns of paths from the watched folder; a model
    that was not needed for `release` minutes is let go; `osc` is the port of OSC, 0 for none.
    """

    settle: float = 2.0
    polling: bool | None = None
    ignore: tuple[str, ...] = ()
    release: float = 10.0
    osc: int = 0


@dataclass(frozen=True)
class Config:
    """What the configuration files of a folder say together; `sources` are those files, the outermost first."""

    score: Settings = field(default_factory=dict)
    outputs: Outputs = field(default_factory=Outputs)
    watch: Watching = field(default_factory=Watching)
    live: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[Path, ...] = ()


def state_root() -> Path:
    """Give the folder of all that is remembered from run to run: `CMT_BRIDGE_STATE`, or the person's state folder."""
    import platformdirs

    said = os.environ.get(STATE_VARIABLE)
    return Path(said).absolute() if said else platformdirs.user_state_path("cmt-bridge", appauthor=False)


@takes_paths
def read_config(folder: Path) -> Config:
    """Read cmt-bridge.toml of a folder and of all above it; the nearest says what holds.

    Raises `UsageError` where a file cannot be read or says what is not known.
    """
    here = folder.absolute()
    files = [path for above in reversed((here, *here.parents)) if (path := above / FILE_NAME).is_file()]
    score: dict[str, str] = {}
    outputs: dict[str, Any] = {}
    watch: dict[str, Any] = {}
    live: dict[str, Any] = {}
    for path in files:
        data = _load(path)
        _known(path, "", data, ("score", "outputs", "watch", "live"))
        score |= _score(path, data.get("score", {}))
        outputs |= _outputs(path, data.get("outputs", {}))
        watch = _watch(path, data.get("watch", {})) if path.parent == here else {}
        live |= _live(path, data.get("live", {}))
    return Config(score, Outputs(**outputs), Watching(**watch), live, tuple(files))


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES)
        return tomllib.loads(data.decode())
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.", hint="Check its permissions.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.", hint="Correct it, or move it away.") from error


def _known(path: Path, section: str, data: Any, names: tuple[str, ...]) -> None:
    """Raise `UsageError` for what is no section or not known in it."""
    if not isinstance(data, dict):
        raise UsageError(f"{path}: {section} is not a section.", hint=f"Write [{section}] on a line of its own.")
    for name in data:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            where = f"{section}.{name}" if section else name
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(names)}."
            raise UsageError(f"{path}: there is no setting {where}.", hint=hint)


def _score(path: Path, data: Any) -> dict[str, str]:
    names = tuple(setting.name for setting in SCORE_SETTINGS)
    _known(path, "score", data, (*names, *ALIASES))
    said = {ALIASES.get(name, name): as_text(value) for name, value in data.items()}
    if "model" in said and (weights := path.parent / said["model"]).is_file():
        said["model"] = str(weights)
    return said


def _outputs(path: Path, data: Any) -> dict[str, Any]:
    _known(path, "outputs", data, ("drop", "files", "host", "project"))
    found = dict(data)
    if "drop" in found and not isinstance(found["drop"], str):
        raise _wrong(path, "outputs.drop", 'the name of a folder, such as ".", or "" for none')
    if "files" in found:
        files = found["files"]
        if not isinstance(files, list) or not all(name in FILES for name in files):
            raise _wrong(path, "outputs.files", f"a list of {', '.join(FILES)}")
        found["files"] = tuple(dict.fromkeys(files))
    if "project" in found:
        projects = found.pop("project")
        projects = [projects] if isinstance(projects, str) else projects
        if not isinstance(projects, list) or not all(name in PROJECTS for name in projects):
            raise _wrong(path, "outputs.project", f"a list of {', '.join(PROJECTS)}")
        found["projects"] = tuple(dict.fromkeys(projects))
    if found.get("host", "") not in ("", *HOSTS):
        raise _wrong(path, "outputs.host", f"one of {', '.join(HOSTS)}")
    return found


def _watch(path: Path, data: Any) -> dict[str, Any]:
    _known(path, "watch", data, ("settle", "polling", "ignore", "release", "osc"))
    found = dict(data)
    for name, most in (("settle", 3600.0), ("release", 1e6)):
        if name in found:
            value = found[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
                raise _wrong(path, f"watch.{name}", f"a number from 0 to {most:g}")
            found[name] = float(value)
    if not isinstance(found.get("polling", True), bool):
        raise _wrong(path, "watch.polling", "true or false")
    osc = found.get("osc", 0)
    if isinstance(osc, bool) or not isinstance(osc, int) or not 0 <= osc <= 65535:
        raise _wrong(path, "watch.osc", "the number of a port, or 0")
    ignore = found.get("ignore", [])
    if not isinstance(ignore, list) or not all(isinstance(each, str) for each in ignore):
        raise _wrong(path, "watch.ignore", 'a list of patterns, such as ["proxies/*"]')
    return found | {"ignore": tuple(ignore)}


def _live(path: Path, data: Any) -> dict[str, Any]:
    _known(path, "live", data, (*LIVE_TEXTS, *LIVE_LISTS, *LIVE_SWITCHES, "latency"))
    found: dict[str, Any] = {}
    for name, value in data.items():
        wanted = ""
        if name in LIVE_LISTS:
            if isinstance(value, str):
                value = [each.strip() for each in value.split(",")] if name == "lead" else [value]
            known = LEADS if name == "lead" else ()
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                wanted = "a list of names"
            elif known and not set(value) <= set(known):
                wanted = f"a list of {', '.join(known)}"
        elif name in LIVE_SWITCHES:
            wanted = "" if isinstance(value, bool) else "true or false"
        elif name == "latency":
            each = list(value.values()) if isinstance(value, dict) else [value]
            if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in each):
                wanted = "milliseconds, or such as {drums = 5, strings = 30}"
        elif not isinstance(value, str) or (LIVE_TEXTS[name] and value not in LIVE_TEXTS[name]):
            wanted = f"one of {', '.join(filter(None, LIVE_TEXTS[name]))}" if LIVE_TEXTS[name] else "text"
        if wanted:
            raise _wrong(path, f"live.{name}", wanted)
        found[name] = value
    return found


def _wrong(path: Path, name: str, wanted: str) -> UsageError:
    return UsageError(f"{path}: {name} cannot be used.", hint=f"Give {wanted}.")
