"""What the status board shows of a log's lanes while an engine works on them."""

import asyncio

from runtime_log_world import LogRig

from esm.model import Errored, Outcome
from esm.runtime.plan import LogOptions
from esm.runtime.status.values import LaneStatus
from esm.testing import loop
from esm.testing.target import SUCCESS, Turn, in_turn

FAILURE = Turn(Errored(Outcome.FUNCTION_ERROR, "boom"))


def lanes(rig: LogRig) -> dict[str, LaneStatus]:
    seen = rig.board.mapping("orders")
    return {} if seen is None else dict(seen.lanes)


def test_a_failing_record_ages_until_it_is_finished() -> None:
    async def story() -> None:
        rig = LogRig(script=in_turn([FAILURE] * 4))
        rig.put("a")
        async with rig.running(120.0):
            await asyncio.sleep(5.0)
            failing = lanes(rig)["s00"]
            assert (failing.state, failing.figures.attempts > 1) == ("Retrying", True)
            assert 4.0 <= failing.figures.age <= 5.0
            await asyncio.sleep(100.0)
            well = lanes(rig)["s00"]
            assert (well.state, well.figures.age, well.figures.attempts) == ("Reading", 0.0, 0)
        assert not lanes(rig)

    loop.run(story())


def test_a_lane_whose_destination_fails_is_stalled_and_says_why() -> None:
    async def story() -> None:
        rig = LogRig(LogOptions(maximum_retry_attempts=0), in_turn([FAILURE]))
        rig.destination.down = True
        rig.put("a")
        async with rig.running(400.0):
            await asyncio.sleep(200.0)
            seen = lanes(rig)["s00"]
            assert seen.state == "Stalled"
            assert seen.figures.stalled == "no destination takes what was given up: closed"
            rig.destination.down = False
            await asyncio.sleep(100.0)
            assert lanes(rig)["s00"].state == "Reading"

    loop.run(story())


def test_a_crowded_lane_tells_whose_key_it_waits_for() -> None:
    async def story() -> None:
        first: list[str] = []
        rig = LogRig(
            LogOptions(batch_size=100, parallelization_factor=10),
            lambda call: FAILURE if first[0].encode() in call.payload else SUCCESS,
        )
        first += rig.put("a" + "b" * 120_000)
        async with rig.running(60.0):
            await asyncio.sleep(50.0)
            seen = lanes(rig)["s00"]
            assert (seen.state, seen.figures.key, seen.figures.held_by) == ("Crowded", "a", first[0])

    loop.run(story())


def test_a_lane_that_ended_is_not_shown() -> None:
    async def story() -> None:
        rig = LogRig()
        rig.put("a")
        async with rig.running(60.0):
            await asyncio.sleep(5.0)
            assert set(lanes(rig)) == {"s00"}
            rig.log.split("s00")
            await asyncio.sleep(30.0)
            assert lanes(rig)
            assert "s00" not in lanes(rig)

    loop.run(story())
