"""The rate of calls, on virtual time."""

import asyncio
import types
from collections.abc import Sequence

import asyncio_throttle.throttler
import pytest

from esm.model import Invocation, Returned
from esm.targets.throttled import Throttled
from esm.testing.loop import VirtualTimeLoop
from esm.testing.target import ScriptedTarget, Turn


def starts(per_second: float, calls: int, monkeypatch: pytest.MonkeyPatch) -> Sequence[tuple[float, str]]:
    """When each of so many calls began that were all wanted at second 0."""
    began: list[tuple[float, str]] = []

    def note(call: Invocation) -> Turn:
        began.append((asyncio.get_running_loop().time(), call.batch_id))
        return Turn(Returned(b"null"), after=5.0)

    async def run() -> None:
        target = Throttled(ScriptedTarget(note), per_second)
        async with asyncio.TaskGroup() as group:
            for n in range(calls):
                group.create_task(target.invoke(Invocation(b"", "m", str(n), 1, "k")))

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
    assert [batch for _, batch in starts(3, 12, monkeypatch)] == [str(n) for n in range(12)]


@pytest.mark.parametrize("per_second", [0, -1])
def test_a_rate_is_above_zero(per_second: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Throttled(ScriptedTarget(lambda _: Turn(Returned(b""))), per_second)
