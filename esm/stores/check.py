"""Whether positions can be kept where the configuration says, asked without making or changing anything."""

import os
from collections.abc import Sequence
from pathlib import Path

from esm.errors import StoreFailed
from esm.model import Finding
from esm.stores.lock import user_of
from esm.stores.sqlite import visit_sqlite


class SqliteCheck:
    """Implements `Checkable` for a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def check(self) -> Sequence[Finding]:
        """That an engine has the file is no fault of the configuration, but keeps another from starting."""
        path = self._path
        if why := _unusable(path.parent):
            return [Finding(broken=True, text=f"{path}: {why}")]
        try:
            user = user_of(path)
            if _is_there(path):
                async with visit_sqlite(path) as store:
                    await store.scopes()
        except StoreFailed as error:
            return [Finding(broken=True, text=str(error))]
        if not user:
            return []
        text = f"{path} is in use by another process ({user}): while that runs, a second engine is refused"
        return [Finding(broken=False, text=text)]


def _unusable(directory: Path) -> str:
    """Empty if files can be made in it."""
    if not directory.is_dir():
        return f"there is no directory {directory}: make it, or mount what belongs there; esm does not make it"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"{directory} cannot be written: let the user that esm runs as write there"
    return ""


def _is_there(path: Path) -> bool:
    """An empty file is a new one."""
    return path.exists() and path.stat().st_size > 0
