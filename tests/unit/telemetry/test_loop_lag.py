"""The loop's lag: the delay beyond what was asked for, the longest of the recent ones."""

import pytest

from esm.telemetry.loop_lag import LoopLag


class Done(Exception):
    pass


async def measured(late: list[float]) -> float:
    now = 0.0
    waits = iter(late)

    async def sleep(seconds: float) -> None:
        nonlocal now
        try:
            now += seconds + next(waits)
        except StopIteration:
            raise Done from None

    lag = LoopLag(lambda: now, sleep)
    with pytest.raises(Done):
        await lag.run()
    return lag.longest


async def test_the_longest_delay_is_shown() -> None:
    assert await measured([0.1, 0.7, 0.2]) == pytest.approx(0.7)


async def test_nothing_measured_is_no_delay() -> None:
    assert await measured([]) == 0.0


async def test_waking_early_is_no_negative_delay() -> None:
    assert await measured([-0.01]) == 0.0


async def test_half_a_minute_later_it_is_forgotten() -> None:
    assert await measured([5.0, *[0.0] * 59]) == pytest.approx(5.0)
    assert await measured([5.0, *[0.0] * 60]) == pytest.approx(0.0)
