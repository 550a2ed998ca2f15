"""The DAWs we know: what each opens best, what is left to be done there by hand, and where it looks for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

__all__ = ["HOSTS", "Host"]


@dataclass(frozen=True, slots=True)
class Host:
    """A DAW.

    `project` is the kind of project that suits it best, `midi` what a person does with a MIDI file. `scripts` is the
    folder of its scripts in `host_scripts`, empty where it has none; `places` are where it looks for them, by
    `sys.platform`, from the home folder, and `step` what is left to do then.
    """

    name: str
    title: str
    project: str
    midi: str
    scripts: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    step: str = ""


SCRIPT_MENU = "Script Editor › Settings: show the script menu. The script is in it while {} is in front."

HOSTS: Final[Mapping[str, Host]] = {
    host.name: host
    for host in (
        Host(
            "reaper",
            "REAPER",
            "reaper",
            "Drag the MIDI file to the start of the project, and say yes to importing its tempo map and markers.",
            "reaper",
            {
                "linux": ".config/REAPER/Scripts/cmt-bridge",
                "darwin": "Library/Application Support/REAPER/Scripts/cmt-bridge",
                "win32": "AppData/Roaming/REAPER/Scripts/cmt-bridge",
            },
            "In REAPER: Actions › Show action list › New action › Load ReaScript, and choose all files that begin with "
            "cmt-bridge.",
        ),
        Host(
            "logic",
            "Logic Pro",
            "midi",
            "Open the MIDI file by File › Open: dragging it in may leave out tempo and markers.",
            "macos",
            {"darwin": "Library/Scripts/Applications/Logic Pro"},
            SCRIPT_MENU.format("Logic"),
        ),
        Host(
            "ardour",
            "Ardour",
            "ardour",
            "Session › Import, with the tempo map and one track per MIDI track.",
            "ardour",
            {"linux": ".config/ardour7/scripts", "darwin": "Library/Preferences/Ardour7/scripts"},
            "In Ardour: Edit › Lua Scripts › Script Manager, and give each a slot.",
        ),
        Host(
            "garageband",
            "GarageBand",
            "garageband",
            "Set the project to the tempo in the file's name, then drag the MIDI file in.",
            "macos",
            {"darwin": "Library/Scripts/Applications/GarageBand"},
            SCRIPT_MENU.format("GarageBand"),
        ),
        Host(
            "live",
            "Ableton Live",
            "midi",
            "Set the project to the tempo that is shown, then drag the MIDI file in.",
        ),
        Host("cubase", "Cubase", "dawproject", "File › Import › MIDI File."),
        Host(
            "bitwig",
            "Bitwig Studio",
            "dawproject",
            "Drag the MIDI file in, and take over its tempo.",
            "bitwig",
            {
                "linux": "Bitwig Studio/Controller Scripts/cmt-bridge",
                "darwin": "Documents/Bitwig Studio/Controller Scripts/cmt-bridge",
                "win32": "Documents/Bitwig Studio/Controller Scripts/cmt-bridge",
            },
            "In Bitwig: Settings › Controllers › Add Controller › cmt-bridge. Its buttons are in the Studio I/O panel.",
        ),
        Host("studio-one", "Studio One", "dawproject", "Drag the MIDI file in, and take over its tempo."),
        Host("fl-studio", "FL Studio", "midi", "File › Import › MIDI file."),
    )
}
"""Every host, by its name."""
