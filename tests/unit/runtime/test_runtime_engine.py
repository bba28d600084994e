"""The engine: start, the two steps of a stop, and what one broken part means for the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest
from runtime_world import EPOCH, Function, NotedSource, Rig, Steady, Told, Wire, engine, now

from esm.errors import ConfigError
from esm.model import Returned
from esm.ports import Target
from esm.runtime.engine import Unsettled
from esm.runtime.happenings import Abandoned, Deleted, Released, State
from esm.runtime.plan import EnginePlan, QueueOptions, QueuePlan, TargetPlan
from esm.runtime.signals import Stop
from esm.testing import loop
from esm.testing.faults import Faults
from esm.testing.queue.fake import FakeQueue
from esm.testing.target import SUCCESS, Turn

FOREVER = Turn(Returned(b"null"), 1e6)


def mapping(name: str, queue: FakeQueue, rates: dict[str, float] | None = None, **options: float) -> QueuePlan:
    source = NotedSource(queue, Faults(Steady(), rates or {}), Wire())
    return QueuePlan(name, "id", True, source, "fn", QueueOptions(**options))  # type: ignore[arg-type]


def states(told: Told, name: str = "orders") -> list[tuple[float, str]]:
    return [
        (at, each.state)
        for at, each in zip(told.at, told, strict=True)
        if isinstance(each, State) and each.mapping == name
    ]


def test_a_mapping_goes_through_the_states_aws_names() -> None:
    async def check() -> None:
        rig = Rig(QueueOptions(wait=1.0), script=lambda _: Turn(Returned(b"null"), 10.0))
        rig.send()
        async with rig.running(5.0):
            pass
        assert states(rig.told) == [(0.0, "Creating"), (0.0, "Enabled"), (5.0, "Disabling"), (10.0, "Disabled")]

    loop.run(check())


def test_a_disabled_mapping_reads_nothing_and_the_others_run() -> None:
    async def check() -> None:
        sleeping, awake, told, function = FakeQueue(now), FakeQueue(now, epoch=EPOCH), Told(), Function()
        sleeping.send()
        awake.send()
        plans = {
            "sleeping": replace(mapping("sleeping", sleeping), enabled=False),
            "awake": mapping("awake", awake),
        }
        running = engine(plans, {"fn": function}, told)
        asyncio.get_running_loop().call_later(100.0, running.stop.set)
        await running.run()
        assert states(told, "sleeping") == [(0.0, "Creating"), (0.0, "Disabled")]
        assert [message.receives for message in sleeping.messages.values()] == [0]
        assert len(function.calls) == 1

    loop.run(check())


def test_one_mapping_s_missing_queue_does_not_touch_another() -> None:
    async def check() -> None:
        well, told, function = FakeQueue(now, epoch=EPOCH), Told(), Function()
        plans = {"sick": mapping("sick", FakeQueue(now), {"open fails": 1.0}), "well": mapping("well", well)}
        running = engine(plans, {"fn": function}, told)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.run())
            for _ in range(50):
                well.send()
                await asyncio.sleep(1.0)
                assert not well.messages
            running.stop.set()
        assert len(function.calls) == 50

    loop.run(check())


def test_a_stop_drains_and_leaves_nothing_unsettled() -> None:
    async def check() -> None:
        rig = Rig(QueueOptions(wait=1.0), script=lambda _: Turn(Returned(b"null"), 44.0))
        sent = rig.send(5)
        async with rig.running(2.0):
            pass
        assert now() == 44.0
        assert sorted(rig.queue.deleted) == sent
        assert not rig.told.of(Abandoned)

    loop.run(check())


def test_what_has_not_ended_within_the_grace_is_cancelled_and_listed() -> None:
    async def check() -> None:
        queue, told, function = FakeQueue(now, epoch=EPOCH), Told(), Function(lambda _: FOREVER)
        sent = [queue.send() for _ in range(3)]
        unsettled = Unsettled(Stop())

        def tell(happening: object) -> None:
            told(happening)  # type: ignore[arg-type]
            unsettled(happening)  # type: ignore[arg-type]

        running = engine({"orders": mapping("orders", queue, wait=1.0)}, {"fn": function}, told, grace=20.0)
        running.world = replace(running.world, tell=tell)
        asyncio.get_running_loop().call_later(5.0, running.stop.set)
        await running.run()
        assert now() == 25.0
        assert unsettled.by_mapping == {"orders": sent}
        assert not told.of(Deleted)
        assert not told.of(Released)
        assert function.running == 0
        assert all(message.visible_at > now() for message in queue.messages.values())

    loop.run(check())


def test_a_second_signal_cancels_at_once() -> None:
    async def check() -> None:
        rig = Rig(script=lambda _: FOREVER)
        sent = rig.send()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(rig.engine.run())
            await asyncio.sleep(5.0)
            rig.engine.stop.set()
            await asyncio.sleep(2.0)
            rig.engine.abort()
        assert now() == 7.0
        assert [each.record_ids for each in rig.told.of(Abandoned)] == [sent]

    loop.run(check())


def test_a_stop_before_the_start_reads_nothing() -> None:
    async def check() -> None:
        rig = Rig()
        rig.send()
        rig.engine.stop.set()
        await rig.engine.run()
        assert (rig.wire.reads, now()) == ([], 0.0)

    loop.run(check())


def test_a_stop_after_the_end_changes_nothing() -> None:
    async def check() -> None:
        rig = Rig(QueueOptions(wait=1.0))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(rig.engine.run())
            await asyncio.sleep(5.0)
            running.cancel()
        rig.engine.abort()
        rig.engine.stop.set()
        assert rig.engine.stop.is_set()

    loop.run(check())


def test_a_target_that_cannot_be_opened_stops_the_start_and_closes_the_others() -> None:
    closed: list[str] = []

    @asynccontextmanager
    async def opens() -> AsyncIterator[Target]:
        try:
            yield Function()
        finally:
            closed.append("fn")

    def broken() -> AbstractAsyncContextManager[Target]:
        raise ConfigError(["handler missing"])

    async def check() -> None:
        rig = Rig()
        rig.send()
        targets = {"fn": TargetPlan("fn", opens), "broken": TargetPlan("broken", broken)}
        rig.engine.plan = EnginePlan(rig.engine.plan.mappings, targets, 10**9)
        with pytest.raises(ConfigError, match="handler missing"):
            await rig.engine.run()
        assert (closed, rig.wire.reads) == (["fn"], [])

    loop.run(check())


def test_mappings_that_name_a_target_share_its_cap_fairly() -> None:
    async def check() -> None:
        function = Function(lambda _: Turn(SUCCESS.reply, 1.0))
        queues = [FakeQueue(now, epoch=EPOCH) for _ in range(10)]
        for number, queue in enumerate(queues):
            for _ in range(2_000 if number == 0 else 100):
                queue.send()
        plans = {f"m{n}": mapping(f"m{n}", queue, batch_size=1) for n, queue in enumerate(queues)}
        running = engine(plans, {"fn": function}, Told(), cap=5)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.run())
            await asyncio.sleep(100.5)
            delivered = [len(queue.deleted) for queue in queues]
            running.stop.set()
        assert function.most_running == 5
        assert sum(delivered) == pytest.approx(500, abs=10)
        assert min(delivered) >= 25

    loop.run(check())
