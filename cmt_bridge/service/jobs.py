"""The durable table of jobs: what was found or asked for, how far it is, and which contents have their score."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from cmt_bridge.core.signature import FileSignature
from cmt_bridge.errors import CmtBridgeError, UsageError
from cmt_bridge.service.database import Database
from cmt_bridge.service.openapi import is_unicode

__all__ = ["ENDED", "MOST_TRIES", "STATES", "Found", "Job", "JobTable", "Noted"]

STATES = ("waiting", "running", "done", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled")
MOST_TRIES = 3
KEPT_JOBS = 1000  # ended jobs of people that are kept; what gave a content its score is kept for ever
LISTED_JOBS = 100
LISTED_DAMAGED = 20
KINDS = ("score", "regenerate")
LANES = ("batch", "live")

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        lane TEXT NOT NULL,
        path TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        request TEXT NOT NULL,
        key TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting',
        stage TEXT NOT NULL DEFAULT '',
        tries INTEGER NOT NULL DEFAULT 0,
        reason TEXT NOT NULL DEFAULT '',
        code INTEGER NOT NULL DEFAULT 0,
        takes TEXT NOT NULL DEFAULT '[]',
        outcome TEXT NOT NULL DEFAULT 'null',
        created TEXT NOT NULL,
        started TEXT NOT NULL DEFAULT '',
        ended TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX jobs_by_state ON jobs (state, lane, id);
    CREATE TABLE contents (sha256 TEXT PRIMARY KEY, job INTEGER, project TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
    CREATE INDEX contents_by_job ON contents (job);
    CREATE TABLE files (path TEXT PRIMARY KEY, signature TEXT NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX files_by_content ON files (sha256);
    """,
    "CREATE TABLE damaged_jobs AS SELECT * FROM jobs WHERE 0;",
)
# What can be read of the other tables, and whether a content has had its job.
SANE = (
    "DELETE FROM contents WHERE typeof(sha256) != 'text' OR typeof(project) != 'text' "
    "OR typeof(job) NOT IN ('integer', 'null')",
    "DELETE FROM contents WHERE project = '' AND job IS NOT NULL AND job NOT IN (SELECT id FROM jobs)",
    "DELETE FROM files WHERE typeof(path) != 'text' OR typeof(signature) != 'text' OR typeof(sha256) != 'text'",
)


@dataclass(frozen=True)
class Found:
    """A video that was found: `path` relative to the watched folder with `/`, the hash of its content, its options."""

    path: str
    sha256: str
    request: Mapping[str, Any]


@dataclass(frozen=True)
class Noted:
    """A file whose content was read: `path` as in `Found`, what it was like then, and the hash of its content."""

    path: str
    signature: FileSignature
    sha256: str


@dataclass(frozen=True)
class Job:
    """One job as it stands.

    `key` goes into the takes that it makes, so that they are recognized after a kill. `share` is how much of the stage
    is done, 0 to 1, and not kept over a restart. `reason` and `code`, an exit code, say why it failed, `takes` and
    `outcome` what came of it. Times are ISO 8601 in UTC, or empty.
    """

    id: int
    kind: str
    lane: str
    path: str
    sha256: str
    request: Mapping[str, Any]
    key: str
    state: str
    stage: str
    share: float
    tries: int
    reason: str
    code: int
    takes: tuple[int, ...]
    outcome: Mapping[str, Any] | None
    created: str
    started: str
    ended: str

    def to_json(self) -> dict[str, Any]:
        """Return what others are shown of it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "path": self.path,
            "state": self.state,
            "stage": self.stage,
            "share": self.share,
            "tries": self.tries,
            "reason": self.reason,
            "code": self.code,
            "takes": list(self.takes),
            "outcome": self.outcome,
            "request": dict(self.request),
            "created": self.created,
            "ended": self.ended,
        }


class JobTable:
    """The jobs, the contents that have or will have a score, and the files whose content is known.

    For one thread of one process. What a method changed is on the disk when it returns. `notice` is a sentence where a
    damaged table was set aside, or damaged jobs of it. Methods that take the number of a job raise `UsageError` where
    there is none, and leave a job alone that is past what they do, so that a job which was cancelled does not end a
    second time.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, MIGRATIONS)
        self._shares: dict[int, float] = {}
        self.notice = self._database.notice or self._set_damaged_aside()

    def mend(self) -> str:
        """Bring back a file that was deleted or replaced; return a sentence where that was so, else nothing."""
        return self._database.mend()

    def close(self) -> None:
        """Close the table."""
        self._database.close()

    def add(
        self, kind: str, lane: str, path: str, sha256: str, request: Mapping[str, Any], key: str | None = None
    ) -> Job:
        """Add what a person asked for, always as a new job."""
        with self._database.writing() as database:
            number = _insert(database, kind, lane, Found(path, sha256, request), key)
        return self._job(number)

    def of_key(self, key: str) -> Job | None:
        """Return the job of a key, or None."""
        rows = self._database.rows("SELECT id FROM jobs WHERE key = ?", key)
        return self._job(rows[0]["id"]) if rows else None

    def add_score(
        self, path: str, sha256: str, request: Mapping[str, Any], *, here: Collection[str] | None = None
    ) -> Job | None:
        """Add the automatic score of one content, as `add_scores` does; None where it has one."""
        return next(iter(self.add_scores([Found(path, sha256, request)], here=here)), None)

    def add_scores(self, found: Iterable[Found], *, here: Collection[str] | None = None) -> tuple[Job, ...]:
        """Add the automatic scores of those contents that never had one; return the new jobs.

        `here` are the paths of all files that are there now: where the job of a content still waits and its path is
        not among them, the file was moved and the job follows it. It is all one transaction.
        """
        added = []
        with self._database.writing() as database:
            for each in found:
                taken = database.execute("SELECT job FROM contents WHERE sha256 = ?", (each.sha256,)).fetchone()
                if taken is None:
                    number = _insert(database, "score", "batch", each)
                    database.execute("INSERT INTO contents (sha256, job) VALUES (?, ?)", (each.sha256, number))
                    added.append(number)
                elif here is not None:
                    _follow(database, taken["job"], each.path, here)
        return tuple(self._job(number) for number in added)

    def scored(self, sha256: str, path: str, project: str) -> None:
        """Note that a content has its score in a project folder, whoever made it; a job that waits for it is done.

        `path` is that of the video, `project` that of the folder.
        """
        with self._database.writing() as database:
            database.execute(
                "INSERT INTO contents (sha256, project) VALUES (?, ?) "
                "ON CONFLICT (sha256) DO UPDATE SET project = excluded.project",
                (sha256, project),
            )
            database.execute(
                "UPDATE jobs SET state = 'done', reason = ?, path = ?, ended = ? "
                "WHERE state = 'waiting' AND id = (SELECT job FROM contents WHERE sha256 = ?)",
                (f"Its score was found in {project}.", path, _now(), sha256),
            )

    def is_taken(self, sha256: str) -> bool:
        """Return whether a content has had an automatic score, or has one coming."""
        return bool(self._database.rows("SELECT 1 FROM contents WHERE sha256 = ?", sha256))

    def failure(self, sha256: str) -> Job | None:
        """Return the automatic score of a content that failed; None where it did not."""
        rows = self._database.rows(
            "SELECT jobs.* FROM jobs JOIN contents ON contents.job = jobs.id "
            "WHERE contents.sha256 = ? AND jobs.state = 'failed'",
            sha256,
        )
        return self._from_row(rows[0]) if rows else None

    def claim(self, lane: str, *, skip: Collection[int] = ()) -> Job | None:
        """Return the oldest waiting job of a lane, running now and tried once more; None where none waits.

        `skip` are numbers of jobs that are to go on waiting.
        """
        with self._database.writing() as database:
            row = database.execute(
                "SELECT id FROM jobs WHERE state = 'waiting' AND lane = ? "
                "AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT 1",
                (lane, json.dumps([*skip])),
            ).fetchone()
            if row is None:
                return None
            database.execute(
                "UPDATE jobs SET state = 'running', stage = '', reason = '', code = 0, tries = tries + 1, started = ?, "
                "ended = '' WHERE id = ?",
                (_now(), row["id"]),
            )
        return self._job(row["id"])

    def progress(self, number: int, stage: str, share: float = 0.0) -> Job:
        """Note how far a running job is. Only another stage is written to the disk."""
        job = self._job(number)
        if job.state != "running":
            return job
        self._shares[number] = min(max(share, 0.0), 1.0)
        return self._change(number, ("running",), stage=stage) if stage != job.stage else self._job(number)

    def finish(self, number: int, takes: Sequence[int], outcome: Mapping[str, Any] | None = None) -> Job:
        """Note that a running job is done, the numbers of the takes that it made and what else came of it."""
        said = json.dumps(None if outcome is None else dict(outcome))
        return self._change(number, ("running",), state="done", takes=json.dumps([*takes]), outcome=said, ended=_now())

    def fail(self, number: int, reason: str, *, code: int = CmtBridgeError.exit_code, changed: bool = False) -> Job:
        """Note that a job cannot be done. `changed`: its file is another by now, so its content may be scored later."""
        if self._job(number).state not in ENDED:
            with self._database.writing() as database:
                database.execute(
                    "UPDATE jobs SET state = 'failed', reason = ?, code = ?, ended = ? WHERE id = ?",
                    (reason, code, _now(), number),
                )
                if changed:
                    database.execute("DELETE FROM contents WHERE job = ?", (number,))
        return self._job(number)

    def retry(self, number: int, reason: str, *, path: str = "") -> Job:
        """Let a running job wait again, at `path` where that is given; after `MOST_TRIES` it fails."""
        job = self._job(number)
        if job.state == "running" and job.tries >= MOST_TRIES:
            return self.fail(number, reason)
        return self._change(number, ("running",), state="waiting", stage="", reason=reason, path=path or job.path)

    def release(self, number: int, reason: str = "") -> Job:
        """Let a running job wait again as if it had not been tried, as when cmt-bridge is stopped."""
        tries = max(self._job(number).tries - 1, 0)
        return self._change(number, ("running",), state="waiting", stage="", reason=reason, tries=tries)

    def cancel(self, number: int) -> Job:
        """Note that a job is not wanted any more."""
        return self._change(number, ("waiting", "running"), state="cancelled", ended=_now())

    def recover(self) -> tuple[Job, ...]:
        """Let jobs wait again that ran when cmt-bridge was killed; return them.

        That costs them no try: what a clip brings about, it brings about in a worker.
        """
        numbers = [row["id"] for row in self._database.rows("SELECT id FROM jobs WHERE state = 'running'")]
        with self._database.writing() as database:
            database.execute(
                "UPDATE jobs SET state = 'waiting', stage = '', tries = max(tries - 1, 0) WHERE state = 'running'"
            )
        return tuple(self._job(number) for number in numbers)

    def prune(self) -> int:
        """Forget all but the last ended jobs; those that gave a content its score stay. Returns how many went."""
        with self._database.writing() as database:
            return database.execute(
                f"DELETE FROM jobs WHERE state IN {ENDED} "
                "AND NOT EXISTS (SELECT 1 FROM contents WHERE contents.job = jobs.id) "
                f"AND id NOT IN (SELECT id FROM jobs WHERE state IN {ENDED} "
                "AND NOT EXISTS (SELECT 1 FROM contents WHERE contents.job = jobs.id) ORDER BY id DESC LIMIT ?)",
                (KEPT_JOBS,),
            ).rowcount

    def get(self, number: int) -> Job | None:
        """Return a job by its number; None where there is none."""
        rows = self._database.rows("SELECT * FROM jobs WHERE id = ?", number)
        return self._from_row(rows[0]) if rows else None

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        counted = self._database.rows("SELECT state, count(*) AS number FROM jobs GROUP BY state")
        return dict.fromkeys(STATES, 0) | {row["state"]: row["number"] for row in counted}

    def list(self, state: str | None = None, limit: int = LISTED_JOBS) -> tuple[Job, ...]:
        """Return the newest jobs, newest first, of one state or of all."""
        rows = self._database.rows(
            "SELECT * FROM jobs WHERE ?1 IS NULL OR state = ?1 ORDER BY id DESC LIMIT ?2", state, limit
        )
        return tuple(self._from_row(row) for row in rows)

    def known(self, path: str, signature: FileSignature) -> str | None:
        """Return the hash of a file's content where the file is still as it was when it was read."""
        rows = self._database.rows("SELECT sha256 FROM files WHERE path = ? AND signature = ?", path, str(signature))
        return str(rows[0]["sha256"]) if rows else None

    def note_files(self, files: Iterable[Noted]) -> None:
        """Remember the contents of files that were read."""
        with self._database.writing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO files (path, signature, sha256) VALUES (?, ?, ?)",
                [(file.path, str(file.signature), file.sha256) for file in files],
            )

    def forget_files(self, here: Collection[str]) -> tuple[str, ...]:
        """Forget all files but those that are there now; return the paths of the others."""
        gone = tuple(row["path"] for row in self._database.rows("SELECT path FROM files") if row["path"] not in here)
        if gone:
            with self._database.writing() as database:
                database.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in gone])
        return gone

    def paths_of(self, sha256: str) -> tuple[str, ...]:
        """Return the paths of the files that have a content, sorted."""
        rows = self._database.rows("SELECT path FROM files WHERE sha256 = ? ORDER BY path", sha256)
        return tuple(row["path"] for row in rows)

    def _set_damaged_aside(self) -> str:
        """Move jobs that cannot be read to a table of their own; return a sentence where there are some, else nothing.

        What such a job was for is looked at again, unless the job had ended: nothing that has a score loses it by that,
        since the takes tell of it.
        """
        damaged = [row for row in self._database.rows("SELECT * FROM jobs") if not _is_sane(row)]
        with self._database.writing() as database:
            for row in damaged:
                database.execute("INSERT INTO damaged_jobs SELECT * FROM jobs WHERE id = ?", (row["id"],))
                database.execute("DELETE FROM jobs WHERE id = ?", (row["id"],))
                if row["state"] in ENDED:
                    database.execute("UPDATE contents SET job = NULL WHERE job = ?", (row["id"],))
            for statement in SANE:
                database.execute(statement)
        if not damaged:
            return ""
        numbers = ", ".join(str(row["id"]) for row in damaged[:LISTED_DAMAGED])
        more = ", …" if len(damaged) > LISTED_DAMAGED else ""
        return f"{len(damaged)} damaged jobs were set aside in the table damaged_jobs: {numbers}{more}."

    def _change(self, number: int, states: Sequence[str], **values: object) -> Job:
        """Set columns of a job that is in one of `states`; return the job as it is then."""
        if self._job(number).state in states:
            columns = ", ".join(f"{name} = ?" for name in values)
            with self._database.writing() as database:
                database.execute(f"UPDATE jobs SET {columns} WHERE id = ?", (*values.values(), number))
        return self._job(number)

    def _job(self, number: int) -> Job:
        job = self.get(number)
        if job is None:
            raise UsageError(f"There is no job {number}.", hint="List the jobs to see their numbers.")
        return job

    def _from_row(self, row: sqlite3.Row) -> Job:
        values = dict(row)
        if values["state"] != "running":
            self._shares.pop(values["id"], None)
        share = 1.0 if values["state"] == "done" else self._shares.get(values["id"], 0.0)
        values |= {name: json.loads(row[name]) for name in ("request", "takes", "outcome")}
        return Job(**values | {"takes": tuple(values["takes"]), "share": share})


def _is_sane(row: sqlite3.Row) -> bool:
    """Return whether a row is as it is written here, so that all of it can be read and acted on."""
    values = dict(row)
    numbers = [values.pop(name) for name in ("id", "tries", "code")]
    if not all(type(number) is int and number >= 0 for number in numbers):
        return False
    if not all(isinstance(text, str) and is_unicode(text) for text in values.values()):
        return False
    try:
        request, takes, outcome = (json.loads(values[name]) for name in ("request", "takes", "outcome"))
    except (ValueError, RecursionError):
        return False
    path = PurePosixPath(values["path"])
    return (
        (values["kind"] in KINDS and values["lane"] in LANES and values["state"] in STATES)
        and not path.is_absolute()
        and ".." not in path.parts
        and isinstance(request, dict)
        and isinstance(takes, list)
        and all(type(take) is int for take in takes)
        and (outcome is None or isinstance(outcome, dict))
    )


def _insert(database: sqlite3.Connection, kind: str, lane: str, found: Found, key: str | None = None) -> int:
    cursor = database.execute(
        "INSERT INTO jobs (kind, lane, path, sha256, request, key, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (kind, lane, found.path, found.sha256, json.dumps(dict(found.request)), key or secrets.token_hex(16), _now()),
    )
    return int(cursor.lastrowid or 0)


def _follow(database: sqlite3.Connection, number: int | None, path: str, here: Collection[str]) -> None:
    row = database.execute("SELECT path FROM jobs WHERE id = ? AND state = 'waiting'", (number,)).fetchone()
    if row is not None and row["path"] not in here:
        database.execute("UPDATE jobs SET path = ? WHERE id = ?", (path, number))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
