"""The count of what is there against what must be there."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import mido

from cmt_bridge.core.files import is_temporary, sha256_of
from cmt_bridge.errors import CmtBridgeError
from cmt_bridge.outputs.scorefile import read_score
from cmt_bridge.service.reason import reason_file
from cmt_bridge.takes.take import Take
from cmt_bridge.takes.take_folder import SUFFIX, TakeFolder
from soaking.ledger import Expected, Row
from soaking.world import World

__all__ = ["inspect"]


def inspect(world: World, expected: Expected, row: Row) -> None:
    """Compare what there is with what there must be, and write it into a row."""
    row.minutes = (time.monotonic() - world.began) / 60
    row.daemon, row.worker = world.daemon_peak, world.worker_peak
    jobs = world.table()
    for folder in _astray(world, jobs):
        row.blame("stray", f"{folder} is outside of the watched folder")
    _inspect_scores(expected, row, jobs, _inspect_takes(world, row, jobs))
    for path in expected.notes:
        row.expected += 1
        if reason_file(world.folder / path).is_file():
            row.found += 1
        else:
            row.blame("lost", f"{path} has no note")
    _inspect_ours(world, row)
    _inspect_theirs(world, expected, row)


def _astray(world: World, jobs: Sequence[sqlite3.Row]) -> list[Path]:
    """Give the projects that the daemon made elsewhere; they are deleted, with the MIDI files beside them."""
    found = [*world.home.rglob(f"*{SUFFIX}")]
    for job in jobs:
        folder = Path((json.loads(job["outcome"]) or {}).get("project") or world.folder)
        if not folder.is_relative_to(world.folder) and not folder.is_relative_to(world.home):
            project = TakeFolder(folder)
            made = project.takes_of(job["key"]) if folder.is_dir() else []
            if made and len(made) == len(project.takes()):
                shutil.rmtree(folder)
                folder.with_suffix(".mid").unlink(missing_ok=True)
            found.append(folder)
    return found


def _inspect_takes(world: World, row: Row, jobs: Sequence[sqlite3.Row]) -> Counter[str]:
    """Count the takes of each job that a person asked for; give how many scores each content has besides."""
    scores: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    for folder in sorted(world.folder.rglob(f"*{SUFFIX}")):
        for take in [] if is_temporary(folder.name) else _takes(folder, row):
            keys[take.info.key] += 1
            if take.info.verb == "score":
                scores[str(take.info.request.get("video_sha256"))] += 1
    for key in keys.keys() - {job["key"] for job in jobs}:
        row.blame("stray", f"{keys[key]} takes of no job")
    for job in jobs:
        if job["lane"] == "live":
            made = keys[job["key"]]
            _inspect_asked(row, job, made)
            path = world.folder / job["path"]  # what was asked for stays where it is
            if job["kind"] == "score" and path.is_file():
                scores[sha256_of(path)] -= made
    return scores


def _takes(folder: Path, row: Row) -> Sequence[Take]:
    """Give the takes of a project, and check that all in it fits."""
    project = TakeFolder(folder)
    try:
        project.videos()
        takes, current = project.takes(), project.current()
        same = [(folder / name, current.folder / name) for name in ("score.json", "metadata.json")]
        same.append((folder.with_suffix(".mid"), current.midi))
        if [take.number for take in takes] != list(range(1, len(takes) + 1)):
            row.blame("half", f"{folder} has takes {[take.number for take in takes]}")
        for copy, source in same:
            if not copy.is_file() or copy.read_bytes() != source.read_bytes():
                row.blame("half", f"{copy} is not that of the current take")
    except (CmtBridgeError, OSError) as error:
        row.blame("half", f"{folder}: {error}")
        return []
    return takes


def _inspect_asked(row: Row, job: sqlite3.Row, made: int) -> None:
    """Compare the takes that a person asked for with those that were made."""
    request = json.loads(job["request"])
    wanted = int({**request, **request.get("settings", {})}.get("variations", 1))
    row.expected += 1
    if job["state"] != "done" or made < wanted:
        row.blame("lost", f"job {job['id']} {job['path']} is {job['state']}, {made} takes: {job['reason']}")
    elif made > wanted:
        row.blame("doubled", f"{job['kind']} job {job['id']} {job['path']} made {made} takes instead of {wanted}")
    else:
        row.found += 1


def _inspect_scores(expected: Expected, row: Row, jobs: Sequence[sqlite3.Row], scores: Counter[str]) -> None:
    """Look for contents without a score, with more than one, and with one that should have none."""
    reasons = {job["sha256"]: f"{job['state']}, {job['tries']} tries, {job['reason']}" for job in jobs}
    for sha256, name in expected.once.items():
        row.expected += 1
        row.found += scores[sha256] == 1
        if scores[sha256] < 1:
            row.blame("lost", f"{name}: {reasons.get(sha256, 'no job')}")
    for sha256, count in scores.items():
        if count > 1:
            row.blame("doubled", f"{expected.once.get(sha256, sha256)} has {count} scores")
        elif count and sha256 not in expected.once and sha256 not in expected.maybe:
            row.blame("stray", f"a score of {sha256[:8]}, which cannot be scored")


def _inspect_ours(world: World, row: Row) -> None:
    """Look for files of the daemon that cannot be read, and count what has a temporary name."""
    for top in (world.folder, world.state, world.root / "cache"):
        for path in sorted(top.rglob("*")):
            *above, name = map(is_temporary, path.relative_to(top).parts)
            if name or any(above):
                row.parts += not any(above)
            elif path.is_file() and (fault := _fault(path)):
                row.blame("half", f"{path}: {fault}")


def _fault(path: Path) -> str:
    """Read a file that is ours; give what is wrong with it."""
    try:
        if path.name == "score.json":
            read_score(path)
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".mid":
            mido.MidiFile(path)
        elif path.suffix == ".npz":
            with zipfile.ZipFile(path) as file:
                return file.testzip() or ""
        elif path.name == "jobs.db":
            with closing(sqlite3.connect(path)) as database:
                said = database.execute("PRAGMA integrity_check").fetchone()[0]
                return "" if said == "ok" else str(said)
    except Exception as error:  # whatever a reader raises, the file cannot be read
        return repr(error)
    return ""


def _inspect_theirs(world: World, expected: Expected, row: Row) -> None:
    """Look for files of the person that are not as they were, and for files that nobody should have made."""
    for name, sha256 in expected.files.items():
        path = world.folder / name
        if not path.is_file() or sha256_of(path) != sha256:
            row.blame("changed", f"{name} is {'another' if path.exists() else 'gone'}")
    for path in sorted(world.folder.rglob("*")):
        name = path.relative_to(world.folder).as_posix()
        known = path.is_dir() or name in expected.files or name == "cmt-bridge.toml"
        made = any(part.endswith(SUFFIX) or is_temporary(part) for part in path.parts)
        dropped = path.suffix == ".mid" and path.with_suffix(SUFFIX).is_dir()
        clip = name.removesuffix(" was not scored.txt")
        note = clip != name and (clip in expected.notes or expected.files.get(clip) in expected.maybe)
        if not (known or made or dropped or note):
            row.blame("stray", f"{name} should not be there")
