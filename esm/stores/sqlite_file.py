"""A SQLite file made ready for rows of lanes, and its faults in words with a cure.

Write-ahead log with full synchronisation: a commit is on the disk when it returns, and a crash leaves what was
committed. Both are kept only on a local disk; network file systems do not have the shared memory this needs.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from esm.clients.disk import sync_directory
from esm.errors import StoreFailed

_APPLICATION = 0x45534D31
"""Marks the file as ours (`PRAGMA application_id`), so that nobody else's database is written to."""

_LAYOUT = 1
_BUSY_SECONDS = 5.0
_MAKE = f"""BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS lanes (
    scope TEXT NOT NULL, lane TEXT NOT NULL, format INTEGER NOT NULL,
    epoch INTEGER NOT NULL, counter INTEGER NOT NULL, owner TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (scope, lane)
);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_LAYOUT};
COMMIT;"""
"""In one transaction: a table without the mark would be another program's."""

_LOCKED = "another process keeps it locked: end what works on the file, such as a shell or a copy"
_DENIED = "let the user that esm runs as write the file and its directory"
_CURES = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space; lanes wait until then and lose nothing",
    sqlite3.SQLITE_READONLY: f"it cannot be written: {_DENIED}",
    sqlite3.SQLITE_CANTOPEN: f"it cannot be opened: make its directory, and {_DENIED}",
    sqlite3.SQLITE_PERM: f"it cannot be opened: {_DENIED}",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_IOERR: "the disk fails to read or write: look at its space, its quota and the system's log",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a copy, or move it away to begin at the starting positions",
    sqlite3.SQLITE_NOTADB: "it is no state file: correct state.url, or move the file away",
}


class File:
    """An open file. `connection` belongs to the thread that opened it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._inode = _inode(path)

    def check_in_place(self) -> None:
        """Raises `StoreFailed` if the file was removed or replaced: what is written now would go nowhere."""
        if _inode(self.path) != self._inode:
            raise StoreFailed(
                f"{self.path}: it was removed or replaced while in use: put it back, or restart to begin with"
                " what is there now"
            )


def open_file(path: Path, mode: str) -> File:
    """`mode` is SQLite's own: `rwc` makes a missing file, `rw` does not. Neither makes its directory.

    Raises `StoreFailed` if it cannot be used as it has to be.
    """
    with explained(path):
        address = f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return File(path, connection)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever SQLite raises leaves as `StoreFailed`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says where in SQLite it happened
        cure = _CURES.get(code, "look at the file and its disk")
        raise StoreFailed(f"{path}: {cure} ({error})") from None


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    new = _check_ours(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreFailed(f"{path}: its file system has no shared memory for a write-ahead log: use a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    if new:
        connection.executescript(_MAKE)
        sync_directory(path)


def _check_ours(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether it is new. Raises `StoreFailed` if it is not ours, newer than this program, or damaged."""
    if _asked(connection, "SELECT count(*) FROM sqlite_master") == 0:
        return True
    if _asked(connection, "PRAGMA application_id") != _APPLICATION:
        raise StoreFailed(f"{path}: it is the database of another program: correct state.url")
    layout = _asked(connection, "PRAGMA user_version")
    if layout > _LAYOUT:
        known = f"layout {layout}, this one knows up to {_LAYOUT}"
        raise StoreFailed(f"{path}: a newer version of esm made it ({known}): run that version")
    damage = _asked(connection, "PRAGMA quick_check(1)")
    if damage != "ok":
        raise StoreFailed(f"{path}: {_CURES[sqlite3.SQLITE_CORRUPT]} ({damage})")
    return False


def _asked(connection: sqlite3.Connection, question: str) -> Any:
    return connection.execute(question).fetchone()[0]


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
