"""Every store of lanes keeps the contract of the port."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from esm.ports import LaneStore
from esm.stores import open_store
from esm.testing.store_suite import RULES, Rule


class Opened:
    """An empty store at a URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def store(self) -> AbstractAsyncContextManager[LaneStore]:
        return open_store(self._url)


URLS: Sequence[str] = ("memory://", "sqlite://{folder}/state.db")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("url", URLS, ids=["memory", "sqlite"])
async def test_a_store_keeps_its_contract(url: str, rule: Rule, tmp_path: Path) -> None:
    await rule(Opened(url.format(folder=tmp_path)))
