"""The queue discipline case by case, to the second, on virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from runtime_world import EPOCH, Function, NotedSource, Rig, Steady, Told, Wire, emptied, engine, now

from esm.model import Errored, Outcome, Refused, Returned
from esm.runtime.happenings import (
    Abandoned,
    Crashed,
    LetGo,
    Paused,
    Released,
    Renewed,
    SourceFailed,
    SourceRecovered,
)
from esm.runtime.plan import QueueOptions, QueuePlan
from esm.runtime.queue.slots import Slots
from esm.testing import loop
from esm.testing.faults import Faults
from esm.testing.queue.fake import FakeQueue
from esm.testing.target import SUCCESS, Turn

HOUR = 3600.0
THROTTLED = Turn(Refused(Outcome.THROTTLED, "busy"))


def virtual(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Runs a test on virtual time."""

    def run() -> None:
        loop.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def lasting(seconds: float) -> Turn:
    return Turn(Returned(b"null"), seconds)


# The triggers


@virtual
async def test_the_window_runs_from_the_read_of_the_first_record() -> None:
    rig = Rig(QueueOptions(batch_size=100, window=5.0))
    async with rig.running(30.0):
        await asyncio.sleep(2.0)
        first = rig.send()
        await asyncio.sleep(3.0)
        second = rig.send()
        await asyncio.sleep(4.0)
        third = rig.send()
    assert rig.function.calls == [(7.0, first + second), (14.0, third)]


@virtual
async def test_a_full_batch_ends_the_window_at_once() -> None:
    rig = Rig(QueueOptions(batch_size=3, window=300.0))
    async with rig.running(30.0):
        await asyncio.sleep(1.0)
        rig.send(2)
        await asyncio.sleep(1.5)
        rig.send(1)
    assert [(at, len(ids)) for at, ids in rig.function.calls] == [(2.5, 3)]


@virtual
async def test_a_batch_is_gathered_over_several_reads() -> None:
    rig = Rig(QueueOptions(batch_size=25, window=300.0))
    async with rig.running(30.0):
        rig.send(25)
    assert [(at, len(ids)) for at, ids in rig.function.calls] == [(0.0, 25)]
    assert len(rig.wire.reads) > 2


@virtual
async def test_without_a_window_what_one_read_brought_is_sent() -> None:
    rig = Rig(QueueOptions())
    async with rig.running(30.0):
        await asyncio.sleep(3.0)
        rig.send()
    assert rig.function.times == [3.0]


@virtual
async def test_nothing_is_deleted_before_the_function_has_answered() -> None:
    rig = Rig(QueueOptions(), script=lambda _: lasting(20.0))
    sent = rig.send(2)
    async with rig.running(30.0):
        await asyncio.sleep(19.0)
        assert (len(rig.function.given), rig.wire.done, len(rig.queue.messages)) == (2, [], len(sent))
        await asyncio.sleep(2.0)
        assert (len(rig.wire.done), len(rig.queue.messages)) == (2, 0)


# Reading


@virtual
async def test_an_idle_mapping_has_exactly_one_long_poll_open() -> None:
    rig = Rig(QueueOptions(wait=20.0))
    async with rig.running(200.0):
        await asyncio.sleep(1.0)
        assert rig.wire.open_reads == 1
    assert rig.wire.most_open == 1
    assert [(read.at, read.wait) for read in rig.wire.reads] == [(20.0 * n, 20.0) for n in range(10)]


@virtual
async def test_reads_run_side_by_side_while_there_is_a_backlog_and_one_remains_afterwards() -> None:
    options = QueueOptions(maximum_pollers=4, concurrency=50, starts_at=50)
    rig = Rig(options, script=lambda _: lasting(1.0), latency=0.5)
    rig.send(1_000)
    async with rig.running(200.0):
        await asyncio.sleep(100.0)
        assert not rig.queue.messages
        assert rig.wire.open_reads == 1
    assert rig.wire.most_open == 4


@virtual
async def test_the_minimum_of_pollers_is_open_even_when_idle() -> None:
    rig = Rig(QueueOptions(minimum_pollers=3))
    async with rig.running(100.0):
        await asyncio.sleep(1.0)
        assert rig.wire.open_reads == 3
    assert rig.wire.most_open == 3


@virtual
async def test_a_target_that_is_switched_off_leaves_the_queue_alone() -> None:
    rig = Rig(cap=0)
    rig.send(20)
    async with rig.running(HOUR):
        pass
    assert rig.wire.reads == []
    assert set(rig.receives.values()) == {0}
    assert rig.function.calls == []


@virtual
async def test_nothing_is_read_that_could_not_be_sent_soon() -> None:
    rig = Rig(QueueOptions(concurrency=3, starts_at=3, batch_size=10), script=lambda _: lasting(HOUR))
    rig.send(200)
    async with rig.running(100.0):
        await asyncio.sleep(99.0)
        assert sum(rig.receives.values()) == 30
    assert rig.function.most_running == 3


# Slots


@pytest.mark.parametrize(("batch_size", "slots", "share"), [(1, 100, 0.95), (10, 50, 0.9), (3, 20, 0.9)])
def test_with_a_backlog_slots_are_hardly_ever_empty(batch_size: int, slots: int, share: float) -> None:
    """Calls of 50 ms, reads and deletes of a few: what slots could do at best is nearly reached."""
    loop.run(_with_a_backlog(batch_size, slots, share))


async def _with_a_backlog(batch_size: int, slots: int, share: float) -> None:
    rig = Rig(
        QueueOptions(batch_size=batch_size, concurrency=slots), latency=0.002, script=lambda _: lasting(0.05)
    )
    best = batch_size * slots / 0.05
    rig.send(int(best * 4))
    async with rig.running():
        await asyncio.sleep(2.0)
        before = len(rig.function.given)
        await asyncio.sleep(1.0)
        assert len(rig.function.given) - before >= share * best
        assert rig.function.most_running <= slots
        await emptied(rig.queue)


@virtual
async def test_a_slow_function_is_not_read_ahead_for() -> None:
    rig = Rig(QueueOptions(batch_size=1, concurrency=5), latency=0.002, script=lambda _: lasting(60.0))
    rig.send(100)
    async with rig.running(290.0):
        for _ in range(4):
            await asyncio.sleep(60.0)
            received = sum(receives > 0 for receives in rig.receives.values())
            assert received <= 5


@virtual
async def test_the_slot_is_free_while_answered_messages_are_deleted_but_not_without_end() -> None:
    rig = Rig(QueueOptions(batch_size=1, concurrency=3), script=lambda _: lasting(1.0))
    rig.send(50)
    rig.wire.deletes_from = 60.0
    async with rig.running():
        await asyncio.sleep(59.0)
        assert 4 <= len(rig.function.calls) <= 6
        await emptied(rig.queue)
    assert rig.function.most_running == 3


def test_a_lane_that_breaks_leaves_all_slots_free_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken between taking a slot and the first step of the task that gives it back."""
    began = Slots.began
    left = iter([True, True, False])

    def breaking(self: Slots) -> None:
        began(self)
        if next(left, False):
            raise RuntimeError("planted")

    async def check() -> None:
        rig = Rig(QueueOptions(batch_size=1, concurrency=2), script=lambda _: lasting(1.0))
        sent = rig.send(20)
        async with rig.running():
            await emptied(rig.queue)
        assert len(rig.told.of(Crashed)) == 2
        assert set(rig.function.given) == set(sent)
        assert rig.function.most_running == 2

    monkeypatch.setattr(Slots, "began", breaking)
    loop.run(check())


# Refusals


@virtual
async def test_d1_a_refused_batch_is_held_and_no_receive_count_is_burnt() -> None:
    rig = Rig(script=lambda _: THROTTLED if now() < 600.0 else SUCCESS)
    sent = rig.send(300)
    async with rig.running():
        await asyncio.sleep(599.0)
        assert set(rig.receives.values()) <= {0, 1}
        received = sum(rig.receives.values())
        assert 0 < received <= 50
        await asyncio.sleep(1_000.0)
    assert sorted(rig.queue.deleted) == sorted(sent)
    assert sorted(record.partition("#")[2] for record in rig.wire.done) == ["1"] * 300
    assert rig.told.of(Paused)
    assert not rig.told.of(LetGo)


@virtual
async def test_d1_while_the_last_answer_was_a_refusal_one_probe_batch_is_read() -> None:
    """While one is held nothing is read; let go after a minute, it is followed by one batch, not a slotful."""
    rig = Rig(QueueOptions(max_hold=60.0), script=lambda _: THROTTLED)
    async with rig.running():
        (first,) = rig.send()
        await asyncio.sleep(5.0)
        rig.send(100)
        await asyncio.sleep(54.0)
        assert {id_ for id_, received in rig.receives.items() if received} == {first}
        await asyncio.sleep(50.0)
        assert rig.told.times(LetGo) == [60.0]
        assert 1 < sum(rig.receives.values()) <= 11
        assert rig.function.most_running == 1


@virtual
async def test_the_target_s_own_pause_is_kept() -> None:
    rig = Rig(script=lambda _: Turn(Refused(Outcome.THROTTLED, "busy", 100.0)) if now() < 50.0 else SUCCESS)
    rig.send()
    async with rig.running(300.0):
        pass
    assert rig.function.times == [0.0, 100.0]


@virtual
async def test_a_held_batch_ends_with_the_retention_of_its_oldest_record() -> None:
    queue = FakeQueue(now, epoch=EPOCH, retention=90.0)
    rig = Rig(script=lambda _: THROTTLED, queue=queue)
    rig.send()
    async with rig.running(100.0):
        pass
    assert rig.told.times(LetGo)[0] == 90.0


@virtual
async def test_what_is_gathered_and_finds_no_slot_is_given_back_after_max_hold() -> None:
    """A read that was open when the only slot was taken brings a record nobody can send."""
    options = QueueOptions(concurrency=1, starts_at=1, max_hold=60.0)
    rig = Rig(options, script=lambda _: lasting(500.0))
    async with rig.running(100.0):
        rig.send()
        await asyncio.sleep(0.5)
        (late,) = rig.send()
        await asyncio.sleep(1.0)
        assert rig.receives[late] == 1
        await asyncio.sleep(80.0)
        assert rig.wire.untried == [(60.5, late)]
    assert [each.why for each in rig.told.of(Released)] == ["held too long"]


# Failures


@virtual
async def test_a_failed_batch_comes_back_after_the_visibility_timeout_and_not_before() -> None:
    rig = Rig(script=lambda _: Turn(Errored(Outcome.FUNCTION_ERROR, "boom")) if now() < 1.0 else SUCCESS)
    rig.send()
    async with rig.running(100.0):
        pass
    assert rig.function.times == [0.0, 30.0]
    assert rig.wire.extended == []


@virtual
async def test_partial_failures_delete_the_others_at_once() -> None:
    script = Turn(Returned(b'{"batchItemFailures":[{"itemIdentifier":"m00002"}]}'))
    rig = Rig(QueueOptions(reports_failures=True), script=lambda _: script if now() < 1.0 else SUCCESS)
    rig.send(3)
    async with rig.running(100.0):
        await asyncio.sleep(0.5)
        assert list(rig.queue.messages) == ["m00002"]
    assert rig.function.calls[1:] == [(30.0, ["m00002"])]


@virtual
async def test_a_missing_queue_is_told_and_tried_again_until_it_is_there() -> None:
    rig = Rig()
    rig.rates["open fails"] = 1.0
    rig.send()
    async with rig.running(700.0):
        await asyncio.sleep(200.0)
        rig.rates.clear()
    failures = rig.told.of(SourceFailed)
    assert {failure.code for failure in failures} == {"NonExistentQueue"}
    assert len(failures) > 3
    assert len(rig.told.of(SourceRecovered)) == 1
    assert len(rig.function.calls) == 1


@virtual
async def test_a_queue_that_cannot_be_read_is_told_and_tried_again_with_growing_pauses() -> None:
    rig = Rig()
    rig.rates["read fails"] = 1.0
    rig.send()
    async with rig.running(500.0):
        await asyncio.sleep(200.0)
        rig.rates.clear()
    assert [failure.pause for failure in rig.told.of(SourceFailed)][:7] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert len(rig.told.of(SourceRecovered)) == 1
    assert len(rig.function.calls) == 1


@virtual
async def test_a_queue_that_wants_some_settled_first_has_not_failed() -> None:
    rig = Rig()
    rig.rates["over limit"] = 1.0
    rig.send()
    async with rig.running(100.0):
        await asyncio.sleep(50.0)
        assert len(rig.wire.reads) == pytest.approx(50, abs=2)
        rig.rates.clear()
    assert not rig.told.of(SourceFailed)
    assert not rig.told.of(SourceRecovered)
    assert len(rig.function.calls) == 1


@virtual
async def test_a_queue_that_stops_to_answer_is_not_asked_by_every_poller_for_ever() -> None:
    rig = Rig(QueueOptions(concurrency=100, starts_at=100, batch_size=1), latency=0.1)
    rig.send(1_000)
    async with rig.running(60.0):
        await asyncio.sleep(2.0)
        assert rig.wire.most_open > 5
        rig.rates["over limit"] = 1.0
        await asyncio.sleep(30.0)
        rig.wire.most_open = 0
        await asyncio.sleep(20.0)
        assert rig.wire.most_open == 1


# Holding


@virtual
async def test_d2_a_slow_function_never_causes_a_second_delivery() -> None:
    rig = Rig(script=lambda _: lasting(900.0))
    rig.send()
    async with rig.running(1_000.0):
        pass
    assert rig.function.times == [0.0]
    assert rig.wire.done == ["m00001#1"]
    assert all(later - earlier <= 20.0 for earlier, later in pairwise(rig.wire.extended))


@virtual
async def test_nothing_is_extended_past_the_twelve_hours_a_queue_allows() -> None:
    rig = Rig(QueueOptions(concurrency=1, starts_at=1), script=lambda _: lasting(13 * HOUR))
    rig.send()
    async with rig.running(12.5 * HOUR):
        pass
    assert 12 * HOUR - 60.0 < max(rig.wire.extended) <= 12 * HOUR - 30.0
    assert rig.told.of(Abandoned)


@virtual
async def test_d24_a_record_received_again_is_deleted_by_its_newer_receipt() -> None:
    rig = Rig(script=lambda _: lasting(10.0))
    (id_,) = rig.send()
    async with rig.running(60.0):
        await asyncio.sleep(5.0)
        rig.queue.messages[id_].visible_at = 0.0
        rig.queue.arrival.set()
    assert rig.function.calls == [(0.0, [id_])]
    assert rig.wire.done == [f"{id_}#2"]
    assert rig.queue.deleted == [id_]
    assert [each.records for each in rig.told.of(Renewed)] == [1]


# Order


@virtual
async def test_a_group_is_never_in_two_batches_and_groups_run_side_by_side() -> None:
    queue = FakeQueue(now, epoch=EPOCH, ordered=True)
    rig = Rig(QueueOptions(batch_size=2), script=lambda _: lasting(1.0), queue=queue)
    rig.send(4, "a")
    rig.send(4, "b")
    async with rig.running(60.0):
        pass
    for group in "ab":
        times = [(at, [id_ for id_ in ids if id_.endswith(group)]) for at, ids in rig.function.calls]
        delivered = [id_ for _, ids in times for id_ in ids]
        assert delivered == sorted(delivered)
        begun = [at for at, ids in times if ids]
        assert all(later - earlier >= 1.0 for earlier, later in pairwise(begun))
    assert rig.function.most_running == 2
    assert len(rig.queue.deleted) == 8


@virtual
async def test_what_waits_behind_a_failed_record_of_its_group_is_given_back_and_follows_it() -> None:
    queue = FakeQueue(now, epoch=EPOCH, ordered=True)
    boom = Turn(Errored(Outcome.FUNCTION_ERROR, "boom"), 1.0)
    rig = Rig(QueueOptions(batch_size=1), script=lambda _: boom if now() < 2.0 else SUCCESS, queue=queue)
    sent = rig.send(3, "a")
    async with rig.running(100.0):
        pass
    assert rig.function.given == [sent[0], *sent]
    assert rig.function.times[1] == 30.0


# Stopping


@virtual
async def test_stop_awaits_the_open_read_and_then_gives_back_once_what_was_never_sent() -> None:
    """Not before: the read that is open would take it again and burn a receive count."""
    rig = Rig(QueueOptions(batch_size=100, window=300.0))
    async with rig.running():
        sent = rig.send()
        await asyncio.sleep(3.5)
        assert rig.wire.open_reads == 1
        rig.engine.stop.set()
    assert rig.wire.untried == [(4.0, sent[0])]
    assert now() == 4.0
    assert rig.wire.cancelled == 0
    assert rig.function.calls == []
    assert rig.queue.messages[sent[0]].visible_at <= now()
    assert rig.receives == {sent[0]: 1}
    assert not rig.told.of(Abandoned)


@virtual
async def test_what_an_open_read_brings_after_the_stop_goes_straight_back() -> None:
    rig = Rig(QueueOptions(wait=20.0))
    async with rig.running():
        await asyncio.sleep(3.0)
        rig.engine.stop.set()
        await asyncio.sleep(5.0)
        late = rig.send()
    assert rig.wire.untried == [(8.0, late[0])]
    assert rig.function.calls == []
    assert rig.queue.messages[late[0]].visible_at <= 8.0


@virtual
async def test_stop_awaits_what_is_at_the_target_and_settles_it() -> None:
    rig = Rig(QueueOptions(wait=1.0), script=lambda _: lasting(30.0))
    sent = rig.send()
    async with rig.running(2.0):
        pass
    assert now() == 30.0
    assert rig.queue.deleted == sent


@virtual
async def test_stop_ends_the_pause_of_a_refused_batch_and_gives_it_back() -> None:
    rig = Rig(QueueOptions(wait=1.0), script=lambda _: Turn(Refused(Outcome.UNREACHABLE, "down", 1_000.0)))
    sent = rig.send()
    async with rig.running(10.0):
        pass
    assert rig.wire.untried == [(10.0, sent[0])]
    assert now() <= 12.0


@virtual
async def test_stop_takes_back_the_wait_for_a_shared_slot() -> None:
    rig = Rig(QueueOptions(wait=1.0, batch_size=1), cap=1, script=lambda _: lasting(20.0))
    sent = rig.send(2)
    async with rig.running(5.5):
        pass
    ((at, given_back),) = rig.wire.untried
    assert given_back == sent[1]
    assert 5.5 <= at <= 6.5
    assert rig.queue.deleted == sent[:1]
    assert now() == 20.0


# Memory


@virtual
async def test_many_lanes_share_the_memory_and_none_starves() -> None:
    """A slow target: each lane may hold one page, and nothing beyond that once the memory is full."""
    lanes, page, limit, each = 20, 10, 2_000, 2 * len(b'"m00001"')
    queues = [FakeQueue(now, epoch=EPOCH) for _ in range(lanes)]
    plans = {}
    for number, queue in enumerate(queues):
        source = NotedSource(queue, Faults(Steady()), Wire())
        for _ in range(100):
            queue.send()
        options = QueueOptions(starts_at=50, max_hold=2 * HOUR)
        plans[f"m{number}"] = QueuePlan(f"m{number}", "id", True, source, "fn", options)
    slow = Function(lambda _: lasting(30.0))
    running = engine(plans, {"fn": slow}, Told(), memory_limit=limit)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(running.run())
        await asyncio.sleep(1.0)
        while any(queue.messages for queue in queues) and now() < HOUR:
            held = sum(message.visible_at > now() for queue in queues for message in queue.messages.values())
            assert held * each <= limit + lanes * page * each
            await asyncio.sleep(10.0)
        assert not any(queue.messages for queue in queues)
        assert slow.most_running >= lanes
        running.stop.set()


@virtual
async def test_what_idle_long_polls_might_bring_is_no_reason_to_end_a_window() -> None:
    """A full room is a trigger of its own, but nobody holds anything here except for one record."""
    idle = {
        f"idle{number}": QueuePlan(
            f"idle{number}",
            "id",
            True,
            NotedSource(FakeQueue(now), Faults(Steady()), Wire()),
            "fn",
            QueueOptions(),
        )
        for number in range(20)
    }
    rig = Rig(QueueOptions(batch_size=100, window=50.0))
    source = rig.engine.plan.mappings["orders"]
    assert isinstance(source, QueuePlan)
    running = engine({"orders": source, **idle}, {"fn": rig.function}, Told(), memory_limit=512 * 1024)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(running.run())
        await asyncio.sleep(5.0)
        rig.send()
        await asyncio.sleep(100.0)
        running.stop.set()
    assert rig.function.times == [55.0]
