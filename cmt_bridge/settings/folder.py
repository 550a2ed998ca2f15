"""Settings of a folder in cmt-bridge.toml: where files of the current take go, and how the folder is watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cmt_bridge.core.bounds import OSC_PORT, RELEASE, SETTLE
from cmt_bridge.core.hosts import HOSTS
from cmt_bridge.settings.kinds import (
    Choice,
    ChoiceList,
    FrameRate,
    Label,
    NameList,
    Number,
    PatternList,
    Switch,
    Text,
    WholeNumber,
)
from cmt_bridge.settings.table import Setting

__all__ = ["FILES", "OUTPUTS", "PROJECTS", "WATCH"]

FILES: Final = ("midi", "score", "preview")
PROJECTS: Final = ("reaper", "dawproject", "ardour", "midi", "garageband", "parts", "otio", "csv", "edl")
"""The kinds of projects that can be written: the names of `scoring.export.FORMATS`."""


def _by_name(*rows: Setting) -> Mapping[str, Setting]:
    return {row.name: row for row in rows}


def _output(name: str, kind: Any, text: str, default: Any = None) -> Setting:
    return Setting(name, kind, text, (), default, section="outputs")


def _watch(name: str, kind: Any, text: str, default: Any, unit: str = "") -> Setting:
    return Setting(name, kind, text, (), default, unit, section="watch", option="")


OUTPUTS: Final = _by_name(
    _output(
        "drop",
        Text("the name of a folder", least=0),
        'Where the files of the current take go, from the folder of the clip, such as "."; "" for nowhere.',
        ".",
    ),
    _output("files", ChoiceList(FILES), "Which files of the current take go there.", ("midi",)),
    _output("host", Choice(("", *HOSTS)), "The DAW that they are for; it says what is left to be done there.", ""),
    _output(
        "project",
        ChoiceList(tuple(dict.fromkeys((*HOSTS, *PROJECTS)))),
        "Projects beside them, as `cmt-bridge export` writes them.",
        (),
    ),
    _output(
        "start",
        Label(),
        "Timecode of the first picture, such as 01:00:00:00, or 01:00:00;00 in drop frame. Without it, the film's own.",
        "",
    ),
    _output(
        "rate", FrameRate(), "Frames a second in which it counts, such as 25 or 29.97. Without it, the film's own.", ""
    ),
    _output("places", NameList("folders", longest=4096), 'Folders that other files may name as well, ["~/Session"].'),
)
"""The settings of [outputs], by name; `places` is for a person's own file alone."""

WATCH: Final = _by_name(
    _watch("settle", Number(SETTLE), "Seconds without a change after which a copy has ended.", 2.0, "s"),
    _watch("polling", Switch(), "Look again and again, where changes are not reported.", None),
    _watch("ignore", PatternList(), 'Patterns of paths that are passed over, such as ["proxies/*"].', ()),
    _watch("release", Number(RELEASE), "Minutes after which a model that is not needed is let go.", 10.0, "min"),
    _watch("osc", WholeNumber(OSC_PORT), "Port to listen at for OSC; 0 for none.", 0),
)
"""The settings of [watch], by name."""
