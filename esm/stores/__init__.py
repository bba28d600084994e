"""Where the rows of lanes are kept: lease and checkpoint of each in one row, every write a compare-and-set."""

from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from esm.ports import LaneStore
from esm.stores.memory import MemoryStore
from esm.stores.sqlite import open_sqlite, visit_sqlite

__all__ = ["MemoryStore", "open_sqlite", "open_store", "visit_sqlite"]

_SQLITE = "sqlite://"


def open_store(url: str) -> AbstractAsyncContextManager[LaneStore]:
    """The store of `state.url`, `memory://` or `sqlite:///absolute/path`, for an engine. Raises `StoreFailed`."""
    if url.startswith(_SQLITE):
        return open_sqlite(Path(url.removeprefix(_SQLITE)))
    return nullcontext(MemoryStore())
