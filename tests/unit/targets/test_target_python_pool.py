"""A pool of workers that breaks at the worst moment."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from esm.targets.python import pool as pools
from esm.targets.python.pool import WorkerPool


class ForgetfulPool:
    """Breaks just after it took a call, and never tells what became of it; the next one of its kind is sound."""

    made = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        type(self).made += 1
        self.active = True
        self._is_sound = self.made > 1

    def schedule(self, function: Callable[..., Any], arguments: tuple[Any, ...], **_: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.active = self._is_sound
        if self._is_sound:
            future.set_result(function(*arguments))
        return future

    def stop(self) -> None:
        self.active = False

    def join(self) -> None:
        pass


async def test_a_call_that_a_breaking_pool_forgot_is_made_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "ProcessPool", ForgetfulPool)
    monkeypatch.setattr(pools, "_LOOK", 0.001)
    pool = WorkerPool(1, lambda: None)
    assert await pool.call(str.upper, "sent", timeout=30.0) == "SENT"
    assert ForgetfulPool.made == 2
