"""A SQLite database that outlasts kills, knows its version, and is begun anew where it is damaged."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cmt_bridge.core.files import complete_path, fresh_path
from cmt_bridge.core.signature import identity
from cmt_bridge.errors import OutputError

__all__ = ["Database"]

BUSY_SECONDS = 5.0  # how long another process may hold the database before that is an error
COMPANIONS = ("", "-wal", "-shm")  # what SQLite calls the files that make up one database
# What says something about the disk or other programs. All else that SQLite meets in a file is damage of it.
CIRCUMSTANCES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
    }
)


class _DamagedError(Exception):
    """What is in the file is not a whole database."""


class Database:
    """A database in one file, for one thread.

    `migrations` are SQL scripts; a database of version n has seen the first n. What was written when `writing` ends is
    on the disk. What is no whole database of these is set aside under a name with its date, and `notice` says so in a
    sentence; it is empty otherwise. Text that is no UTF-8 is read with `surrogateescape`. All errors are
    `OutputError`s.
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self._path = path
        self._migrations = migrations
        self.notice = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._open()
            except _DamagedError:
                aside = self._set_aside("damaged")
                self.notice = f"{path.name} was damaged; it was set aside as {aside.name} and a new one begun."
                self._connection = self._open()
        except (sqlite3.Error, OSError, _DamagedError) as error:
            raise self._refuse(error) from error

    def mend(self) -> str:
        """Write the file again where it was deleted or replaced; return a sentence where that was so, else nothing."""
        if self._identity is not None and identity(self._path) == self._identity:
            return ""
        try:
            with complete_path(self._path, parents=False) as temporary:
                with closing(sqlite3.connect(temporary)) as copy:
                    self._connection.backup(copy)
                self._connection.close()
                aside = self._set_aside("replaced")
            self._connection = self._open()
        except (sqlite3.Error, OSError, _DamagedError) as error:
            raise self._refuse(error) from error
        other = f"; what was put in its place is now {aside.name}" if aside.exists() else ""
        return f"{self._path.name} was deleted or replaced; it is there again{other}."

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
        """Return all rows of a query."""
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._refuse(error) from error

    def _open(self) -> sqlite3.Connection:
        for companion in COMPANIONS:  # a link may lead anywhere, and what else is no file cannot be opened at all
            file = self._path.with_name(self._path.name + companion)
            if os.path.lexists(file) and not stat.S_ISREG(file.lstat().st_mode):
                raise _DamagedError(file)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.text_factory = _text
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if _value(connection, "PRAGMA integrity_check(1)") != "ok":
                raise _DamagedError(self._path)
            version = _value(connection, "PRAGMA user_version")
            if version > len(self._migrations):
                raise OutputError(
                    f"{self._path} was written by a newer cmt-bridge.",
                    hint="Update cmt-bridge, or move that file away; scored videos keep their project folders.",
                )
            if version < 0 or (version == 0 and _tables(connection)):
                raise _DamagedError(self._path)
            for number, script in enumerate(self._migrations[version:], version + 1):
                connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")
            # May it be written at all? A damaged head may say otherwise.
            connection.executescript("BEGIN IMMEDIATE; CREATE TABLE probe (a); DROP TABLE probe; COMMIT;")
            if not self._wanted().items() <= _tables(connection).items():
                raise _DamagedError(self._path)
        except sqlite3.DatabaseError as error:
            connection.close()
            if self._is_damage(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)):
                raise _DamagedError(self._path) from error
            raise
        except BaseException:
            connection.close()
            raise
        self._identity = identity(self._path)
        return connection

    def _is_damage(self, code: int) -> bool:
        if code & 0xFF == sqlite3.SQLITE_READONLY:  # as a damaged head of the file has it, too
            return os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK)
        return code == sqlite3.SQLITE_IOERR_SHORT_READ or code & 0xFF not in CIRCUMSTANCES

    def _wanted(self) -> dict[str, tuple[str, ...]]:
        with closing(sqlite3.connect(":memory:")) as fresh:
            for script in self._migrations:
                fresh.executescript(script)
            return _tables(fresh)

    def _set_aside(self, why: str) -> Path:
        """Return the file another name, and those that SQLite keeps beside it, so far as they are there."""
        day = datetime.now(UTC).strftime("%Y-%m-%d %H%M%S")
        aside = fresh_path(self._path.with_name(f"{self._path.stem} {why} {day}{self._path.suffix}"))
        for companion in COMPANIONS:
            file = self._path.with_name(self._path.name + companion)
            if os.path.lexists(file):
                file.rename(aside.with_name(aside.name + companion))
        return aside

    def _refuse(self, error: Exception) -> OutputError:
        reason = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
        hint = "Free some space, check its rights, then start again."
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            hint = "End the other program that has it open, then start again."
        return OutputError(f"Cannot use {self._path}: {reason}.", hint=hint)


def _value(connection: sqlite3.Connection, query: str) -> Any:
    with closing(connection.execute(query)) as cursor:
        return cursor.fetchone()[0]


def _tables(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """Return the columns of all tables that a migration makes."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
    return {
        name: tuple(row[1] for row in connection.execute("SELECT * FROM pragma_table_info(?)", (name,)).fetchall())
        for name in sorted(names)
        if not name.startswith("sqlite_")
    }


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")
