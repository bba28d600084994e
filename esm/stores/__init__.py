"""Where the rows of lanes are kept: lease and checkpoint of each in one row, every write a compare-and-set."""

from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from esm.ports import LaneStore
from esm.stores.check import SqliteCheck
from esm.stores.lock import user_of
from esm.stores.memory import MemoryStore
from esm.stores.sqlite import SqliteStore, open_sqlite, visit_sqlite

__all__ = [
    "MemoryStore",
    "SqliteCheck",
    "SqliteStore",
    "file_of",
    "open_sqlite",
    "open_store",
    "user_of",
    "visit_sqlite",
]

_SQLITE = "sqlite://"


def open_store(url: str) -> AbstractAsyncContextManager[LaneStore]:
    """The store of `state.url`, `memory://` or `sqlite:///absolute/path`, for an engine. Raises `StoreFailed`."""
    path = file_of(url)
    return nullcontext(MemoryStore()) if path is None else open_sqlite(path)


def file_of(url: str) -> Path | None:
    """The file that `state.url` keeps positions in, None if they end with the engine."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
