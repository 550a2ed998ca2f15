"""A SQLite database that outlasts kills, knows its version and is begun anew where it is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cmt_bridge.core.files import fresh_path
from cmt_bridge.errors import OutputError

__all__ = ["Database"]

BUSY_SECONDS = 5.0  # how long another process may hold the database before that is an error
COMPANIONS = ("", "-wal", "-shm")  # what SQLite calls the files that make up one database
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class _DamagedError(Exception):
    """What is in the file is not a whole database."""


class Database:
    """A database in one file, for one thread.

    `migrations` are SQL scripts; a database of version n has seen the first n. What was written when `writing` ends is
    on the disk. A damaged file is set aside under a name with its date, and `notice` says so in a sentence; it is
    empty otherwise. All errors are `OutputError`s.
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self._path = path
        self.notice = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._open(migrations)
            except _DamagedError:
                aside = self._set_aside()
                self.notice = f"{path.name} was damaged; it was set aside as {aside.name} and a new one begun."
                self._connection = self._open(migrations)
        except (sqlite3.Error, OSError, _DamagedError) as error:
            raise self._refuse(error) from error

    def close(self) -> None:
        """Close it; the files beside it are folded into one."""
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Do what the body does wholly or not at all."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._refuse(error) from error

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Give all rows of a query."""
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._refuse(error) from error

    def _open(self, migrations: Sequence[str]) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if _value(connection, "PRAGMA quick_check(1)") != "ok":
                raise _DamagedError(self._path)
            version = _value(connection, "PRAGMA user_version")
            if version > len(migrations):
                raise OutputError(
                    f"{self._path} was written by a newer cmt-bridge.",
                    hint="Update cmt-bridge, or move that file away; scored videos keep their project folders.",
                )
            for number, script in enumerate(migrations[version:], version + 1):
                connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.DatabaseError as error:
            connection.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGE:
                raise _DamagedError(self._path) from error
            raise
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> Path:
        day = datetime.now(UTC).strftime("%Y-%m-%d %H%M%S")
        aside = fresh_path(self._path.with_name(f"{self._path.stem} damaged {day}{self._path.suffix}"))
        for companion in COMPANIONS:
            file = self._path.with_name(self._path.name + companion)
            if file.exists():
                file.rename(aside.with_name(aside.name + companion))
        return aside

    def _refuse(self, error: Exception) -> OutputError:
        reason = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
        return OutputError(
            f"Cannot use {self._path}: {reason}.", hint="Free some space, check its rights, then start again."
        )


def _value(connection: sqlite3.Connection, query: str) -> Any:
    with closing(connection.execute(query)) as cursor:
        return cursor.fetchone()[0]
