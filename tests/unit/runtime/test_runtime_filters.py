"""Filters in a running lane: what does not match is deleted and never sent, and takes no room from the rest."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from runtime_world import Rig, Told, now, world

from esm.core.filtering import SQS, FilterSet
from esm.model import Outcome, Record, Refused, Returned
from esm.runtime.happenings import Filtered, Polled, Renewed, Unfilterable
from esm.runtime.plan import QueueOptions
from esm.runtime.sieve import Sieve
from esm.testing import loop
from esm.testing.queue.fake import FakeCodec, FakeQueue, FakeReader
from esm.testing.target import Turn

ODD = FilterSet(['{"body": {"digit": ["1", "3", "5", "7", "9"]}}'], SQS)
NONE_OF_THEM = FilterSet(['{"body": {"digit": ["none"]}}'], SQS)


def virtual(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        loop.run(test())

    run.__name__ = test.__name__
    return run


def odd(ids: list[str]) -> list[str]:
    return [id_ for id_ in ids if int(id_[5]) % 2]


@virtual
async def test_what_no_filter_lets_pass_is_deleted_and_never_sent() -> None:
    rig = Rig(filters=ODD)
    sent = rig.send(30)
    async with rig.running(60.0):
        pass
    assert sorted(rig.function.given) == odd(sent)
    assert sorted(rig.queue.deleted) == sent
    assert sum(told.records for told in rig.told.of(Filtered)) == 15
    assert sum(told.records for told in rig.told.of(Polled)) == 30


@virtual
async def test_filtered_records_do_not_count_towards_a_batch() -> None:
    rig = Rig(QueueOptions(batch_size=20, window=300.0), filters=ODD)
    async with rig.running(30.0):
        rig.send(40)
    assert [(at, len(ids)) for at, ids in rig.function.calls] == [(0.0, 20)]


@virtual
async def test_the_window_runs_from_the_first_record_that_passes() -> None:
    rig = Rig(QueueOptions(batch_size=100, window=5.0), filters=ODD)
    async with rig.running(40.0):
        rig.send(1)  # 1 passes
        await asyncio.sleep(20.0)
        rig.send(1)  # 2 does not
        await asyncio.sleep(3.0)
        rig.send(1)  # 3 passes
    assert rig.function.times == [5.0, 28.0]


@virtual
async def test_filtered_records_are_not_held() -> None:
    rig = Rig(script=lambda _: Turn(Returned(b"{}"), 1000.0), filters=ODD)
    rig.send(2)
    async with rig.running():
        await asyncio.sleep(5.0)
        (live,) = [status.live for status in rig.engine.board.mappings().values()]
        assert live is not None
        assert (live.held_bytes, live.gathered) == (16, 0)
        assert rig.queue.deleted == ["m00002"]


@virtual
async def test_deleting_holds_up_no_read() -> None:
    rig = Rig(filters=NONE_OF_THEM)
    rig.rates["slow call"] = 0.0
    stuck = asyncio.Event()
    settle = FakeReader.settle

    async def slow(self: FakeReader, *lists: Any) -> Any:
        await stuck.wait()
        return await settle(self, *lists)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeReader, "settle", slow)
        rig.send(40)
        async with rig.running():
            await asyncio.sleep(10.0)
            assert sum(told.records for told in rig.told.of(Polled)) == 40
            assert not rig.queue.deleted
            stuck.set()


@virtual
async def test_reading_waits_while_a_thousand_are_not_deleted_yet() -> None:
    rig = Rig(QueueOptions(minimum_pollers=32), filters=NONE_OF_THEM)
    rig.queue.terms = FakeQueue(now, visibility=10_000.0).terms
    stuck = asyncio.Event()
    settle = FakeReader.settle

    async def slow(self: FakeReader, *lists: Any) -> Any:
        await stuck.wait()
        return await settle(self, *lists)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeReader, "settle", slow)
        rig.send(3000)
        async with rig.running(600.0):
            await asyncio.sleep(300.0)
            read = sum(told.records for told in rig.told.of(Polled))
            assert 1000 <= read < 1400
            stuck.set()
    assert len(rig.queue.deleted) == 3000


@virtual
async def test_a_stop_waits_for_the_deletes() -> None:
    rig = Rig(filters=NONE_OF_THEM, latency=3.0)
    sent = rig.send(3)
    async with rig.running(7.0):
        pass
    assert sorted(rig.queue.deleted) == sent


@virtual
async def test_what_could_not_be_deleted_comes_back_and_is_filtered_again() -> None:
    rig = Rig(filters=NONE_OF_THEM)
    rig.rates["delete fails"] = 1.0
    (only,) = rig.send()
    async with rig.running(100.0):
        await asyncio.sleep(35.0)
        assert rig.told.of(Filtered)[0].undeleted == [only]
        rig.rates["delete fails"] = 0.0
    assert not rig.function.given
    assert rig.queue.deleted == [only]
    assert [told.records for told in rig.told.of(Filtered)] == [1, 1, 1]


@virtual
async def test_a_filtered_message_neither_blocks_its_group_nor_overtakes() -> None:
    queue = FakeQueue(now, ordered=True)
    rig = Rig(filters=ODD, queue=queue, script=lambda _: Turn(Returned(b"{}"), 10.0))
    sent = rig.send(9, "g1")
    async with rig.running(200.0):
        pass
    assert rig.function.given == odd(sent)
    assert sorted(queue.deleted) == sent


@virtual
async def test_what_is_filtered_leaves_also_while_the_target_refuses() -> None:
    rig = Rig(filters=ODD, script=lambda _: Turn(Refused(Outcome.THROTTLED, "busy")))
    rig.send(10)
    async with rig.running(30.0):
        await asyncio.sleep(25.0)
        assert rig.queue.deleted


@virtual
async def test_a_held_record_that_comes_again_is_not_filtered_again() -> None:
    """Its receive count is part of what a pattern may ask for: it must not be deleted under the function."""

    class Counting(FakeCodec):
        def view(self, record: Record) -> Mapping[str, Any]:
            return {"attributes": {"ApproximateReceiveCount": record.handle.partition("#")[2]}}

    first_receive = FilterSet(['{"attributes": {"ApproximateReceiveCount": ["1"]}}'], SQS)
    queue = FakeQueue(now, visibility=2.0)
    rig = Rig(filters=first_receive, queue=queue, script=lambda _: Turn(Returned(b"{}"), 21.0))
    rig.rates["extension fails"] = 1.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("esm.testing.queue.fake.FakeSource.codec", Counting())
        rig.send(2)
        async with rig.running(60.0):
            pass
    assert rig.told.of(Renewed)
    assert not rig.told.of(Filtered)
    assert sorted(rig.function.given) == ["m00001", "m00002"]


@virtual
async def test_a_record_that_cannot_be_decoded_is_kept_and_said() -> None:
    class Broken(FakeCodec):
        def view(self, record: Record) -> Mapping[str, Any]:
            raise ZeroDivisionError("no codec")

    told = Told()
    record = Record(1, "m1", None, 0.0, 0.0, b"{}", "r")
    assert Sieve("orders", Broken(), ODD, world(told)).dropped([record]) == []
    assert told.of(Unfilterable) == [Unfilterable("orders", "m1", "ZeroDivisionError: no codec")]


@virtual
async def test_without_filters_nothing_is_decoded() -> None:
    class Never(FakeCodec):
        def view(self, record: Record) -> Mapping[str, Any]:
            raise AssertionError("decoded")

    record = Record(1, "m1", None, 0.0, 0.0, b"{}", "r")
    assert Sieve("orders", Never(), None, world(Told())).dropped([record]) == []
