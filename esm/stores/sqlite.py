"""The rows of lanes in one SQLite file: for a single process, durable when a swap returns.

Every statement runs on one thread of the store's own. What has piled up while it was busy shares a transaction,
and so one flush to the disk: a thousand lanes cost no more flushes than the disk can make (docs/decisions: 26).
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

from esm.checkpoint import LaneRow
from esm.errors import StoreFailed
from esm.stores.lock import sole_user
from esm.stores.rows import FORMAT, body_of, contents, format_of, newer
from esm.stores.sqlite_file import File, explained, open_file
from esm.stores.versions import version

_FORMAT_OF = "SELECT format FROM lanes WHERE scope = ? AND lane = ?"
_SCOPES = "SELECT DISTINCT scope FROM lanes ORDER BY scope"
_VIEW = "SELECT lane, format, body, epoch, counter, owner FROM lanes WHERE scope = ? ORDER BY lane"
_MAKE = """INSERT INTO lanes (scope, lane, format, body, epoch, counter, owner) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (scope, lane) DO NOTHING"""
_CHANGE = """UPDATE lanes SET format = ?, body = ?, epoch = ?, counter = ?, owner = ?
    WHERE scope = ? AND lane = ? AND epoch = ? AND counter = ? AND owner = ?"""
_REMOVE = "DELETE FROM lanes WHERE scope = ? AND lane = ? AND epoch = ? AND counter = ? AND owner = ?"


class _Write:
    """One change of the row at `key` that waits for its transaction.

    `outcome` is None until that has ended, then whether the row was changed, or why nobody knows.
    """

    def __init__(self, key: tuple[str, str], statement: str, *values: object) -> None:
        self.key = key
        self.statement = statement
        self.values = values
        self.outcome: bool | str | None = None


class SqliteStore:
    """Implements `LaneStore`. `file` is used on the only thread of `pool`, and nowhere else."""

    def __init__(self, file: File, pool: ThreadPoolExecutor) -> None:
        self._file = file
        self._pool = pool
        self._waiting: deque[_Write] = deque()

    async def view(self, scope: str) -> Collection[LaneRow]:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._view, scope)

    async def scopes(self) -> Collection[str]:
        """All that it has rows of, for tools. Raises `StoreFailed`."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._all_scopes)

    async def swap(self, old: LaneRow | None, new: LaneRow) -> bool:
        key = (new.scope, new.lane)
        content = (format_of(new), body_of(new), *version(new))
        if old is None:
            return await self._written(_Write(key, _MAKE, *key, *content))
        return await self._written(_Write(key, _CHANGE, *content, *key, *version(old)))

    async def forget(self, row: LaneRow) -> bool:
        key = (row.scope, row.lane)
        return await self._written(_Write(key, _REMOVE, *key, *version(row)))

    async def _written(self, write: _Write) -> bool:
        """Cancelling does not take the write back: one left behind would surprise whoever writes next."""
        self._waiting.append(write)
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._pool, self._flush))
        if isinstance(write.outcome, bool):
            return write.outcome
        raise StoreFailed(write.outcome or f"{self._place(*write.key)} was not written")

    def _all_scopes(self) -> Collection[str]:
        with explained(self._file.path):
            return [scope for (scope,) in self._file.connection.execute(_SCOPES).fetchall()]

    def _view(self, scope: str) -> Collection[LaneRow]:
        with explained(self._file.path):
            found = self._file.connection.execute(_VIEW, (scope,)).fetchall()
        return [self._row(scope, *columns) for columns in found]

    def _row(self, scope: str, lane: str, number: int, body: bytes, *seen: *tuple[int, int, str]) -> LaneRow:
        epoch, counter, owner = seen
        start, checkpoint = contents(body, number, self._place(scope, lane))
        return LaneRow(scope, lane, owner, epoch, counter, start, checkpoint)

    def _flush(self) -> None:
        """All that waits in one transaction. Whoever comes later finds that its write is done already."""
        writes = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not writes:
            return
        outcomes: list[bool | str]
        try:
            with explained(self._file.path), self._transaction() as connection:
                outcomes = [self._apply(connection, write) for write in writes]
        except StoreFailed as error:
            outcomes = [str(error)] * len(writes)
        for write, outcome in zip(writes, outcomes, strict=True):
            write.outcome = outcome

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._file.check_in_place()
        connection = self._file.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # some failures have rolled it back already
                connection.execute("ROLLBACK")
            raise

    def _apply(self, connection: sqlite3.Connection, write: _Write) -> bool | str:
        """A row of a newer format fails this write alone: those of other lanes are none of its business."""
        found = connection.execute(_FORMAT_OF, write.key).fetchone()
        if found is not None and found[0] > FORMAT:
            return newer(self._place(*write.key), found[0])
        return connection.execute(write.statement, write.values).rowcount == 1

    def _place(self, scope: str, lane: str) -> str:
        return f"{self._file.path}: the row of lane {lane!r} of {scope}"


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[SqliteStore]:
    """The store of an engine: no other engine may have it at the same time. The file is made, its directory not.

    Raises `StoreFailed` if another has it, and if the file cannot be used.
    """
    with sole_user(path):
        async with _opened(path, "rwc") as store:
            yield store


def visit_sqlite(path: Path) -> AbstractAsyncContextManager[SqliteStore]:
    """The file of an engine, running or not, for tools: every write is a swap, so neither harms the other.

    Raises `StoreFailed` if the file is not there or cannot be used.
    """
    return _opened(path, "rw")


@asynccontextmanager
async def _opened(path: Path, mode: str) -> AsyncIterator[SqliteStore]:
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="esm-state")
    try:
        file = await loop.run_in_executor(pool, open_file, path, mode)
        try:
            yield SqliteStore(file, pool)
        finally:  # behind every write that still waits, those of cancelled callers too
            await loop.run_in_executor(pool, file.connection.close)
    finally:
        pool.shutdown(wait=False)
