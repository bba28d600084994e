"""The rate of calls, on virtual time."""

import asyncio
import types
from collections.abc import Sequence

import asyncio_throttle.throttler
import pytest

from esm.targets.rate import Rate
from esm.testing.loop import VirtualTimeLoop


def starts(per_second: float, calls: int, monkeypatch: pytest.MonkeyPatch) -> Sequence[tuple[float, int]]:
    """When each of so many calls began that were all wanted at second 0."""
    began: list[tuple[float, int]] = []

    async def call(rate: Rate, n: int) -> None:
        await rate.turn()
        began.append((asyncio.get_running_loop().time(), n))

    async def run() -> None:
        rate = Rate(per_second)
        async with asyncio.TaskGroup() as group:
            for n in range(calls):
                group.create_task(call(rate, n))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        clock = types.SimpleNamespace(monotonic=runner.get_loop().time)
        monkeypatch.setattr(asyncio_throttle.throttler, "time", clock)
        runner.run(run())
    return began


@pytest.mark.parametrize("per_second", [0.05, 0.5, 1, 2.5, 50])
def test_never_more_than_the_rate(per_second: float, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 5 + int(per_second * 4)
    began = [second for second, _ in starts(per_second, calls, monkeypatch)]
    burst = max(1, int(per_second))
    for first, after in zip(began, began[burst:], strict=False):
        assert after - first >= burst / per_second
    ideal = (calls - 1) // burst * burst / per_second
    assert ideal <= began[-1] <= ideal * 1.1 + 0.1


def test_calls_begin_in_the_order_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [n for _, n in starts(3, 12, monkeypatch)] == list(range(12))


@pytest.mark.parametrize("per_second", [0, -1])
def test_a_rate_is_above_zero(per_second: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Rate(per_second)
