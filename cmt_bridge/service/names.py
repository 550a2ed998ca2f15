"""Names by which other programs say that something is no clip, or not yet one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

__all__ = ["PARTIAL_SUFFIXES", "Unfinished", "is_system_folder", "reason_to_pass"]

# fmt: off
SYSTEM_FOLDERS: Final = frozenset({
    "$recycle.bin", "recycler", "recycled", "system volume information", "lost+found", "lost.dir", "__macosx",  # disks
    "#recycle", "@recycle", "@recently-snapshot", "#snapshot", "~snapshot", "@eadir", "@sharebin", "@tmp",  # NAS
    "network trash folder", "temporary items", "thevolumesettingsfolder",  # what a Mac leaves on a share
    "onedrivetemp", "_gsdata_", "stversions",  # programs that sync
})
PARTIAL_SUFFIXES: Final = frozenset({
    ".part", ".partial", ".filepart", ".crdownload", ".opdownload", ".download", ".unconfirmed", ".tmp", ".aria2",
    ".ytdl", ".!qb", ".!ut", ".!bt", ".bc!", ".!sync", ".dtapart", ".fdmdownload", ".xltd",
})
# fmt: on
FRAGMENT: Final = re.compile(r"(.+\.part)-Frag\d+", re.DOTALL)  # as yt-dlp names them

PLACED: Final = re.compile(r"(.+)\.[\w-]{8}(\.\w+)", re.DOTALL)  # Firefox puts eight letters into what is not done yet
FORMAT: Final = re.compile(r"(.+)\.f(?:\d{1,4}|hls|dash|http|rtmp|mpd)(?:[-_][\w=-]*)?\.\w+", re.DOTALL)
INTERMEDIATE: Final = re.compile(
    r".+\.(?:f(?:\d{2,4}|hls|dash|http|rtmp|mpd)(?:[-_][\w=-]*)?|temp|tmp|part|partial|incomplete)\.\w+", re.DOTALL
)
"""One stream of what yt-dlp will join, and what it, FFmpeg's front ends and others are writing just now."""
AFTERWARDS: Final = re.compile(r"(.+)\.(?:temp|tmp)(\.\w+)", re.DOTALL)  # what is being made out of a file of that name

COPY: Final = re.compile(
    r"""
    .*[(\[] [^()\[\]]* (?:
        \b(?:conflict(?:ed|ing)?|in\ konflikt\ stehende|konfliktbehaftete|conflicterende)\s(?:copy|copies|kopie)\b
        | \b(?:case|unicode\ encoding|selective\ sync|whitespace)\s(?:conflict|clash)\b
        | \bcopi[ea]\ (?:en\ conflit|en\ conflicto|in\ conflitto)\b | \bcópia\ em\ conflito\b
        | \b(?:sf)?(?:conflict(?:ed)?|konflikt|conflit|conflitto|conflicto|conflito)\b[^()\[\]]*\d{4}-\d\d-\d\d
        | ^conflicted$
    ) [^()\[\]]* [)\]] .*
    | .+ \.sync-conflict-\d{8}-\d{6}(?:-\w+)? (?:\..*)?
    | .+ _conflict-\d{8}-\d{6} \.\w+
    | .+ [(\[]conflicted[)\]] (?:\ \d+)? \.\w+
    | .+ ~\d{8}-\d{6} \.\w+
    | ~syncthing~ .*
    """,
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
"""What Dropbox, Nextcloud, ownCloud, Syncthing, Seafile and pCloud call the other version of a file, and Syncthing an
older one."""
PERHAPS: Final = re.compile(
    r"(.+?)(?:_conf\(\d+\)|\.[Cc]onflict(?:-?\d+)?|-(?:DESKTOP|LAPTOP)-[A-Z0-9]{7}(?:-\d+)?)(\.\w+)", re.DOTALL
)
"""What Google Drive, Resilio and OneDrive call it; a clip may be called so as well, but not beside the first one."""


def is_system_folder(name: str) -> bool:
    """Return whether a folder is a system's, a NAS's or a program's own: its trash, versions, thumbnails."""
    return name.lower() in SYSTEM_FOLDERS


def reason_to_pass(name: str, names: Collection[str]) -> str:
    """Return why a file is no clip of its own, as the end of a sentence; empty where it may be one.

    `names` are all names in its folder.
    """
    if INTERMEDIATE.fullmatch(name):
        return "its name is that of a download or a conversion under way; rename it where it is none"
    perhaps = PERHAPS.fullmatch(name)
    if COPY.fullmatch(name) or (perhaps and perhaps[1] + perhaps[2] in names):
        return "its name is that of another version that a program keeps which syncs; rename it to have it scored"
    return ""


class Unfinished:
    """The files of a folder that other files beside them say are still being written.

    `names` are all names in that folder.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, str] = {}
        self._stems: dict[str, str] = {}
        for name in names:
            done = _done(name)
            if done != name:
                self._names[done] = name
                if placed := PLACED.fullmatch(done):
                    self._names[placed[1] + placed[2]] = name
                if part := FORMAT.fullmatch(done):
                    self._stems[part[1]] = name
            elif after := AFTERWARDS.fullmatch(name):
                self._names[after[1] + after[2]] = name

    def said_by(self, name: str) -> str:
        """Return the file that says of another that it is not done, empty where there is none."""
        stem = name.rpartition(".")[0]
        part = FORMAT.fullmatch(name)
        return self._names.get(name) or self._stems.get(part[1] if part else stem, "")


def _done(name: str) -> str:
    """Return the name that a file will have when it is done."""
    if fragment := FRAGMENT.fullmatch(name):
        name = fragment[1]
    while True:
        stem, dot, ending = name.rpartition(".")
        if not stem or dot + ending.lower() not in PARTIAL_SUFFIXES:
            return name
        name = stem
