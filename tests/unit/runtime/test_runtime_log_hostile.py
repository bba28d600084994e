"""The log lane against sources that answer nonsense, lag behind themselves, or begin anew."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from runtime_log_world import LogRig
from runtime_world import EPOCH, Told, now, world
from test_runtime_log_lane import FAILURE, fails_on, ids_of, virtual

from esm.checkpoint import Checkpoint, LaneRow, Position, Start
from esm.core.log.ledger import Ledger
from esm.errors import LaneGone
from esm.model import Lane, LogPage, Record
from esm.runtime.happenings import SourceFailed
from esm.runtime.lane_happenings import Dropped, LaneEnded, LaneReplaced, LaneStarted, RecordsLost
from esm.runtime.log.feeder import Feeder
from esm.runtime.log.lane import rule_of
from esm.runtime.memory import Memory
from esm.runtime.plan import LogOptions
from esm.runtime.signals import Stop
from esm.testing.log.fake import FakeLogReader
from esm.testing.target import SUCCESS, Turn


@virtual
async def test_a_listing_that_makes_no_sense_does_not_cut_lanes_off() -> None:
    rig = LogRig(script=lambda _: Turn(SUCCESS.reply, 10.0))
    ids = rig.put("a")
    lanes, listings = rig.source.lanes, 0

    async def nonsense() -> AsyncIterator[Collection[Lane]]:
        nonlocal listings
        listings += 1
        async for listed in lanes():
            yield listed
            if listings == 1:
                await asyncio.sleep(5.0)
                raise KeyError("SequenceNumberRange")

    rig.source.lanes = nonsense  # type: ignore[method-assign]
    async with rig.running(60.0):
        pass
    assert rig.function.given == ids
    assert len(rig.told.of(LaneStarted)) == 1
    assert listings == 2


@virtual
async def test_a_child_that_the_source_does_not_know_yet_is_not_taken_for_gone() -> None:
    """Its parent announced it, the listing that was under way meanwhile lacks it, and it cannot be read yet."""
    rig = LogRig()
    rig.put("a")
    child, other = rig.log.split("s00")
    young = rig.put("b", shard=child.name)
    rig.source.hide(child.name)
    rig.source.hide(other.name)
    opened = rig.source.open

    @asynccontextmanager
    async def late(lane: Lane, after: Position | Start) -> AsyncIterator[FakeLogReader]:
        if lane.name != "s00" and now() < 3.0:
            raise LaneGone("ResourceNotFoundException", "not here yet")
        async with opened(lane, after) as reader:
            yield reader

    rig.source.open = late  # type: ignore[method-assign]
    async with rig.running(600.0):
        await asyncio.sleep(0.5)
        rig.log.add()
        await asyncio.sleep(60.0)
        rig.source.show()
    assert rig.function.given[1:] == young
    assert not rig.told.of(RecordsLost)


@virtual
async def test_a_stream_that_was_made_anew_under_its_name_is_read() -> None:
    """Its shards have the names of some that had ended, and the rows of those say so."""
    rig = LogRig()
    rig.put("a")
    rig.log.split("s00")
    async with rig.running(5.0):
        pass
    rig.log.begin_anew()
    young = rig.put("bc")
    rig.anew()
    async with rig.running(60.0):
        await asyncio.sleep(10.0)
        for child in rig.log.split("s00"):
            young += rig.put("d", shard=child.name)
        await asyncio.sleep(10.0)
        rig.log.begin_anew()
        young += rig.put("e")
    assert rig.function.given[1:] == young
    assert [told.lane for told in rig.told.of(LaneReplaced)] == ["s00", "s00"]


@virtual
async def test_what_was_too_large_is_told_of_once_although_it_is_read_again() -> None:
    rig = LogRig(LogOptions(parallelization_factor=2), fails_on("s00:00000:a"))
    rig.put("a")
    rig.log.put("s00", "b", too_large=True)
    rig.put("c")
    async with rig.running(20.0):
        pass
    rig.anew()
    async with rig.running(40.0):
        pass
    assert rig.destination.given == [["s00:00001:b"]]
    assert len(rig.told.of(Dropped)) == 1


@virtual
async def test_what_nobody_lets_us_send_grows_too_old_all_the_same() -> None:
    """A target without a slot for us is no reason to keep what its age limit gives up."""
    rig = LogRig(LogOptions(maximum_record_age=60.0), cap=0)
    ids = rig.put("a")
    async with rig.running(100.0):
        await asyncio.sleep(30.0)
        ids += rig.put("b")
    assert rig.destination.given == [ids[:1], ids[1:]]
    assert [round(at) for at, _ in rig.destination.notices] == [60, 90]
    assert rig.destination.conditions == [("RecordAgeExceeded", 1)] * 2
    assert rig.function.given == []


@virtual
async def test_a_shard_that_cannot_be_found_for_a_while_has_not_ended_while_it_is_listed() -> None:
    rig = LogRig()
    async with rig.running(300.0):
        await asyncio.sleep(1.0)
        shard = rig.log.shards.pop("s00")
        await asyncio.sleep(30.0)
        assert rig.told.of(SourceFailed)
        assert not rig.told.of(LaneEnded)
        rig.log.shards["s00"] = shard
        ids = rig.put("ab")
    assert rig.function.given == ids


@virtual
async def test_a_first_failure_that_gives_up_is_written_down_while_its_destination_hangs() -> None:
    """Nothing of this batch was ever written before; whoever restarts us must not send it once more."""
    rig = LogRig(LogOptions(maximum_retry_attempts=0), lambda _: FAILURE)
    ids = rig.put("a")
    rig.destination.down = True
    await rig.crash_at(30.0)
    rig.destination.down = False
    rig.anew()
    async with rig.running(60.0):
        pass
    assert (rig.function.given, rig.destination.given) == (ids, [ids])


@virtual
async def test_a_batch_that_stepped_back_from_a_slow_store_is_not_in_flight() -> None:
    """It may wait for the next slot for an hour, and a crash in that hour is none of its doing."""
    rig = LogRig(
        LogOptions(batch_size=1, parallelization_factor=2),
        lambda call: Turn(SUCCESS.reply, 1e6) if ids_of(call) == ["s00:00001:b"] else FAILURE,
        cap=1,
    )
    rig.put("a")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rig.crash_at(60.0))
        await asyncio.sleep(0.1)
        rig.store.takes = 6.0
        await asyncio.sleep(0.5)
        rig.put("b")
    assert rig.function.given == ["s00:00000:a", "s00:00001:b"]
    assert [(budget.attempts, budget.in_flight) for budget in (await rig.store.checkpoint()).parts] == [(1, False)]


class _CountingReader:
    """Has nothing; `reads` are the limits it was asked with."""

    def __init__(self) -> None:
        self.reads: list[int] = []

    async def read(self, limit: int, wait: float) -> LogPage:
        self.reads.append(limit)
        await asyncio.sleep(wait)
        return LogPage()


@virtual
async def test_a_lane_that_waits_for_memory_reads_on_as_soon_as_another_gives_some_back() -> None:
    """What it holds itself is stuck, so nothing of its own would wake it."""
    options, memory, reader, stop = LogOptions(), Memory(1_000, typical=10.0), _CountingReader(), Stop()
    ledger = Ledger(Checkpoint(), rule_of(LogRig(options).plan))
    ledger.admit(LogPage((Record(1, "1", "k", 0.0, 0.0, b"{}", None, 1),)), 0.0)
    memory.hold(1_000, 0)
    feeder = Feeder(
        "orders", Lane("s00"), reader, ledger, memory, options, world(Told()), stop,
        idle_workers=lambda: 0, is_listed=lambda: True, admitted=lambda _: None,
    )  # fmt: skip
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feeder.run())
        await asyncio.sleep(100.0)
        assert not reader.reads
        memory.free(1_000)
        await asyncio.sleep(1.0)
        assert reader.reads
        stop.set()


@virtual
async def test_a_store_that_is_always_slow_does_not_keep_what_fails_from_being_sent() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=3), lambda _: FAILURE)
    ids = rig.put("a")
    rig.store.takes = 20.0
    async with rig.running(900.0):
        pass
    assert (rig.function.given, rig.destination.given) == (ids * 4, [ids])


@virtual
async def test_a_lane_begins_where_its_own_row_says_before_where_its_mapping_does() -> None:
    rig = LogRig()
    rig.put("a")
    await asyncio.sleep(10.0)
    ids = rig.put("b")
    await rig.store.rows.swap(None, LaneRow("id", "s00", "somebody", 1, 7, start=Start(EPOCH + 10.0)))
    async with rig.running(20.0):
        pass
    assert rig.function.given == ids
