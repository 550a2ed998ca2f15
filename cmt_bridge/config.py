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
    start = "01:00:00:00"         # the timecode of its first picture; the film's own else
    rate = 25                     # the frames a second in which it counts; as the film does else

    [watch]                       # of the watched folder itself
    ignore = ["proxies/*"]

    [live]                        # as the options of `cmt-bridge stream`
    follow = "mtc"
    to = ["ardour:MIDI 1/midi_in"]
    latency = {strings = 30}
    warm = true                   # a daemon has the model ready, so that music begins at once

A file in a folder further down says what is different there. A file is read anew for every job, so changes hold from
the next one on.

Such a file may have come with a folder from somebody else. So the place that `drop` names lies in the folder of that
file or below it, or in the folder that a person has watched. The person's own file, settings.toml in the configuration
folder (`CMT_BRIDGE_CONFIG`), is written like the others and read before them. It may name any place, and alone may have
`places` in [outputs]: folders that the other files may name as well.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cmt_bridge.core.bounds import TOML_BYTES, read_toml_bytes, shortened
from cmt_bridge.core.files import PROJECT_SUFFIX, read_at_most
from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import UsageError
from cmt_bridge.settings import Setting, Settings, as_text, of_section
from cmt_bridge.settings.folder import OUTPUTS, PROJECTS, WATCH

__all__ = [
    "CONFIG_VARIABLE",
    "FILE_NAME",
    "PROJECTS",
    "STATE_VARIABLE",
    "WATCHED_VARIABLE",
    "Config",
    "Outputs",
    "Watching",
    "person_file",
    "read_config",
    "state_root",
    "watched",
]

FILE_NAME: Final = "cmt-bridge.toml"
STATE_VARIABLE: Final = "CMT_BRIDGE_STATE"
CONFIG_VARIABLE: Final = "CMT_BRIDGE_CONFIG"
WATCHED_VARIABLE: Final = "CMT_WATCHED_FOLDER"
"""Names the folder that a person has watched, for the processes of its daemon."""

PERSON_FILE: Final = "settings.toml"


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the files of a current take are dropped: `drop` is a folder, from the clip's own; empty for nowhere.

    `files` are of `FILES`; `host` is one of `HOSTS`, or empty; `projects` are of `PROJECTS`. `start` and `rate` say in
    which timecode projects count, where the film's own shall not: the label of its first picture, frames a second.
    Files are dropped only into the folders `within` and below them, or anywhere where that is None.
    """

    drop: str = "."
    files: tuple[str, ...] = ("midi",)
    host: str = ""
    projects: tuple[str, ...] = ()
    start: str = ""
    rate: str = ""
    within: tuple[Path, ...] | None = field(default=None, compare=False)

    def folder_from(self, home: Path) -> Path:
        """Return the folder where files are dropped for a clip in the folder `home`, by whatever links it is reached.

        Raises `UsageError` where the file that names it may not name that place.
        """
        folder = home / _expanded(self.drop)
        real = Path(os.path.realpath(folder))
        if self.within is None or real == Path(os.path.realpath(home)):
            return folder
        for root in (Path(os.path.realpath(each)) for each in self.within):
            if real.is_relative_to(root) and not any(_is_closed(name) for name in real.relative_to(root).parts):
                return real
        raise UsageError(
            f"{FILE_NAME}: outputs.drop, {shortened(self.drop)}, leads to {real}, and files are dropped in "
            f"{self.within[0]} and below it, but in no hidden folder.",
            hint=f"To allow that place, name it in places of [outputs] in {person_file()}, your own settings.",
        )


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


def _expanded(folder: str) -> str:
    return os.path.expanduser(folder)  # noqa: PTH111  (a person who is not known here is no error)


def _is_closed(name: str) -> bool:
    """Return whether no file for a session goes into a folder of that name: hidden ones, and those that keep takes."""
    return name.startswith(".") or name.lower().endswith(PROJECT_SUFFIX)


def person_file() -> Path:
    """Return the person's own file of settings: in `CMT_BRIDGE_CONFIG`, or in the person's configuration folder."""
    import platformdirs

    said = os.environ.get(CONFIG_VARIABLE)
    folder = Path(said).absolute() if said else platformdirs.user_config_path("cmt-bridge", appauthor=False)
    return folder / PERSON_FILE


def state_root() -> Path:
    """Return the folder of all that is remembered from run to run: `CMT_BRIDGE_STATE`, or the person's state folder."""
    import platformdirs

    said = os.environ.get(STATE_VARIABLE)
    return Path(said).absolute() if said else platformdirs.user_state_path("cmt-bridge", appauthor=False)


@contextmanager
def watched(folder: Path | None) -> Iterator[None]:
    """Let this process and those that it starts know the folder that a person has watched, if one is."""
    before = os.environ.get(WATCHED_VARIABLE)
    if folder is not None:
        os.environ[WATCHED_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if folder is not None:
            os.environ.pop(WATCHED_VARIABLE)
        if before is not None:
            os.environ[WATCHED_VARIABLE] = before


@takes_paths
def read_config(folder: Path) -> Config:
    """Read the person's own file, and cmt-bridge.toml of a folder and of all above it; the nearest says what holds.

    Raises `UsageError` where a file cannot be read or says what is not known.
    """
    here = folder.absolute()
    own = person_file()
    files = [path for above in reversed((here, *here.parents)) if (path := above / FILE_NAME).is_file()]
    files = [own, *files] if own.is_file() else files
    named = os.environ.get(WATCHED_VARIABLE)
    places = [Path(named)] if named else []
    score: dict[str, str] = {}
    outputs: dict[str, Any] = {}
    watch: dict[str, Any] = {}
    live: dict[str, Any] = {}
    for path in files:
        data = _load(path)
        _known(path, "", data, ("score", "outputs", "watch", "live"))
        score |= _score(path, data.get("score", {}))
        said = _outputs(path, data.get("outputs", {}), own=path == own)
        places += said.pop("places", [])
        if "drop" in said:
            said["within"] = None if path == own else (path.parent, *places)
        outputs |= said
        watch = _section(path, "watch", data.get("watch", {}), WATCH) if path.parent == here else {}
        live |= _section(path, "live", data.get("live", {}), of_section("live"))
    return Config(score, Outputs(**outputs), Watching(**watch), live, tuple(path for path in files if path != own))


def _load(path: Path) -> dict[str, Any]:
    try:
        return read_toml_bytes(read_at_most(path, TOML_BYTES))
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.", hint="Check its permissions.") from error
    except ValueError as error:
        raise UsageError(
            f"{path} is not valid TOML: {str(error).rstrip('.')}.", hint="Correct it, or move it away."
        ) from error


def _known(path: Path, section: str, data: Any, names: tuple[str, ...]) -> None:
    """Raise `UsageError` for what is no section or not known in it."""
    if not isinstance(data, dict):
        raise UsageError(f"{path}: {section} is not a section.", hint=f"Write [{section}] on a line of its own.")
    for name in data:
        if name not in names:
            near = difflib.get_close_matches(name[:64], names, 1)
            where = f"{section}.{name[:64]}" if section else name[:64]
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(names)}."
            raise UsageError(f"{path}: there is no setting {where}.", hint=hint)


def _score(path: Path, data: Any) -> dict[str, str]:
    """Return the settings of [score] as text. Raises `UsageError` for a key or value that is not allowed."""
    rows = of_section("score")
    _known(path, "score", data, tuple(rows))
    said: dict[str, str] = {}
    for key, value in data.items():
        row, text = rows[key], as_text(value)
        if text.strip():
            _read(path, row, text)
        said[row.name] = text
    if said.get("model") and (weights := path.parent / said["model"]).is_file():
        said["model"] = str(weights)  # anywhere: weights are only read, and only as numbers
    return said


def _section(path: Path, section: str, data: Any, rows: Mapping[str, Setting]) -> dict[str, Any]:
    """Return the settings of a section, read. Raises `UsageError` for a key or value that is not allowed."""
    _known(path, section, data, tuple(rows))
    return {name: _read(path, rows[name], value) for name, value in data.items()}


def _read(path: Path, row: Setting, value: Any) -> Any:
    """Return a value of a setting, read. Raises `UsageError`, which names the file, for one that is not allowed."""
    try:
        return row.read(value)
    except UsageError as error:
        raise UsageError(f"{path}: {row.section}.{error.args[0]}", hint=error.hint) from None


def _outputs(path: Path, data: Any, *, own: bool) -> dict[str, Any]:
    """Return what [outputs] says, by the attributes of `Outputs`; `places` only where the file is a person's own."""
    found = _section(path, "outputs", data, {name: row for name, row in OUTPUTS.items() if own or name != "places"})
    if "places" in found:
        found["places"] = [path.parent / _expanded(each) for each in found["places"]]
    if "files" in found:
        found["files"] = tuple(dict.fromkeys(found["files"]))
    if "project" in found:
        kinds = [HOSTS[name].project if name in HOSTS else name for name in found.pop("project")]
        found["projects"] = tuple(dict.fromkeys(kinds))
    return found
