"""A store that forgets with its process: for tests, and for mappings that may begin anew at every start."""

from collections.abc import Collection

from esm.checkpoint import LaneRow
from esm.stores.versions import same


class MemoryStore:
    """Implements `LaneStore`."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, LaneRow]] = {}

    async def view(self, scope: str) -> Collection[LaneRow]:
        return list(self._rows.get(scope, {}).values())

    async def swap(self, old: LaneRow | None, new: LaneRow) -> bool:
        rows = self._rows.setdefault(new.scope, {})
        if not same(rows.get(new.lane), old):
            return False
        rows[new.lane] = new
        return True

    async def forget(self, row: LaneRow) -> bool:
        rows = self._rows.get(row.scope, {})
        if not same(rows.get(row.lane), row):
            return False
        del rows[row.lane]
        return True
