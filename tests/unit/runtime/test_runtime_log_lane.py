"""The log lane to the second: triggers, parallel keys, retries, what is written when, and how it ends."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from runtime_log_world import LogRig
from runtime_world import EPOCH, now

from esm.checkpoint import Budget, Checkpoint, Span, Start
from esm.core.filtering import FilterSet
from esm.core.log.moving import skipped, sought
from esm.model import DataKeys, Errored, Invocation, Outcome, Refused, Returned
from esm.runtime.happenings import Filtered, Paused, Polled, SourceFailed, SourceRecovered
from esm.runtime.lane_happenings import (
    Bisected,
    Crowded,
    DestinationFailed,
    Dropped,
    LaneEnded,
    LaneLost,
    LaneStarted,
    NotMoving,
    RecordsLost,
    Retried,
    Stalled,
    Unstalled,
)
from esm.runtime.plan import LogOptions
from esm.testing import loop
from esm.testing.target import SUCCESS, Turn, in_turn

FAILURE = Turn(Errored(Outcome.FUNCTION_ERROR, "boom"))
BUSY = Turn(Refused(Outcome.THROTTLED, "busy"))


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test on virtual time."""

    def run() -> None:
        loop.run(test())

    run.__name__ = test.__name__
    return run


def ids_of(call: Invocation) -> list[str]:
    ids: list[str] = json.loads(call.payload)
    return ids


def fails_on(*poison: str, after: float = 0.0) -> Callable[[Invocation], Turn]:
    return lambda call: FAILURE if set(poison) & set(ids_of(call)) else Turn(SUCCESS.reply, after)


# Triggers


@virtual
async def test_without_a_window_whatever_is_there_is_sent() -> None:
    rig = LogRig(LogOptions(batch_size=100))
    ids = rig.put("abc")
    async with rig.running(5.0):
        pass
    assert rig.function.calls == [(0.0, ids)]
    assert await rig.store.checkpoint() == Checkpoint(9)


@virtual
async def test_a_full_batch_is_sent_before_its_window_is_over() -> None:
    rig = LogRig(LogOptions(batch_size=3, window=10.0))
    ids = rig.put("abcd")
    async with rig.running(30.0):
        pass
    assert rig.function.calls == [(0.0, ids[:3]), (10.0, ids[3:])]


@virtual
async def test_the_end_of_a_lane_ends_its_window() -> None:
    rig = LogRig(LogOptions(batch_size=100, window=300.0))
    ids = rig.put("ab")
    rig.log.split("s00")
    async with rig.running(5.0):
        pass
    assert rig.function.calls == [(0.0, ids)]
    assert (await rig.store.checkpoint()).ended


# Parallel keys


@virtual
async def test_factor_one_sends_one_batch_after_the_other() -> None:
    rig = LogRig(LogOptions(batch_size=1), lambda _: Turn(SUCCESS.reply, 2.0))
    rig.put("abc")
    async with rig.running(10.0):
        pass
    assert (rig.function.times, rig.function.most_running) == ([0.0, 2.0, 4.0], 1)


@virtual
async def test_a_factor_sends_as_many_keys_side_by_side() -> None:
    rig = LogRig(LogOptions(batch_size=1, parallelization_factor=3), lambda _: Turn(SUCCESS.reply, 2.0))
    rig.put("aabcd")
    async with rig.running(10.0):
        pass
    assert rig.function.times == [0.0, 0.0, 0.0, 2.0, 2.0]
    assert rig.function.most_running == 3


@virtual
async def test_ten_workers_on_twenty_keys_are_eight_times_as_fast_as_one() -> None:
    took = []
    for factor in (1, 10):
        rig = LogRig(LogOptions(batch_size=1, parallelization_factor=factor), lambda _: Turn(SUCCESS.reply, 0.005))
        rig.put("abcdefghijklmnopqrst" * 20)
        began = now()
        async with rig.running():
            while len(rig.function.calls) < 400:  # noqa: ASYNC110 -- the time is virtual
                await asyncio.sleep(0.001)
        took.append(rig.function.times[-1] - began)
    assert took[0] > 8 * took[1]


@virtual
async def test_a_stuck_record_blocks_its_key_and_nothing_else() -> None:
    rig = LogRig(LogOptions(batch_size=1, parallelization_factor=2), fails_on("s00:00000:a"))
    ids = rig.put("abacb")
    async with rig.running(30.0):
        pass
    others = [id_ for id_ in rig.function.given if id_ != ids[0]]
    assert others == [ids[1], ids[3], ids[4]]
    checkpoint = await rig.store.checkpoint()
    assert checkpoint.at is None
    assert checkpoint.spans == (Span(3, 3, 0), Span(6, 6), Span(12, 15))


@virtual
async def test_ten_stuck_keys_do_not_stop_the_lane() -> None:
    poison = [f"s00:{n:05d}:{key}" for n, key in enumerate("abcdefghij")]
    rig = LogRig(LogOptions(batch_size=1, parallelization_factor=2), fails_on(*poison))
    rig.put("abcdefghij")
    late = rig.put("klm")
    async with rig.running(60.0):
        pass
    assert set(late) <= set(rig.function.given)


@virtual
async def test_a_lane_reads_on_past_a_stuck_key_to_find_others() -> None:
    rig = LogRig(LogOptions(batch_size=1, parallelization_factor=2), fails_on("s00:00000:a"))
    rig.put("a" * 5_000)
    (late,) = rig.put("b")
    async with rig.running(20.0):
        pass
    assert late in rig.function.given


# Retries


@virtual
async def test_n_retries_are_n_and_one_deliveries_with_a_pause_that_doubles() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=3), lambda _: FAILURE)
    ids = rig.put("ab")
    async with rig.running(20.0):
        pass
    assert rig.function.times == pytest.approx([0.0, 0.5, 1.5, 3.5])
    assert [told.attempts for told in rig.told.of(Retried)] == [1, 2, 3]
    assert (rig.destination.given, rig.destination.conditions) == ([ids], [("RetryAttemptsExhausted", 4)])
    assert [(told.records, told.reason, told.delivered_to) for told in rig.told.of(Dropped)] == [
        (2, "RetryAttemptsExhausted", "dead0")
    ]
    assert await rig.store.checkpoint() == Checkpoint(6)


@virtual
async def test_a_refusal_costs_nothing() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=0), in_turn([BUSY, BUSY, BUSY, FAILURE]))
    rig.put("a")
    async with rig.running(20.0):
        pass
    assert len(rig.function.calls) == 4
    assert [call.attempt for call in rig.function.invocations] == [1, 1, 1, 1]
    assert len(rig.told.of(Paused)) == 3
    assert rig.destination.conditions == [("RetryAttemptsExhausted", 1)]


@virtual
async def test_a_target_that_denies_us_for_a_day_costs_a_stream_no_record() -> None:
    denied = Turn(Refused(Outcome.MISCONFIGURED, "401"))
    day = 24 * 3600.0
    rig = LogRig(LogOptions(maximum_retry_attempts=0), lambda _: denied if now() < day else SUCCESS)
    ids = rig.put("ab")
    async with rig.running(day + 600.0):
        await asyncio.sleep(day - 1.0)
        assert (await rig.store.checkpoint()).at is None
        assert len(rig.function.calls) < 3 * day / 60
    assert (rig.function.calls[-1][1], rig.destination.given, rig.told.of(Dropped)) == (ids, [], [])


@virtual
async def test_a_partial_answer_restarts_the_budget() -> None:
    """Five deliveries of the bad record, and a count of four, as seen on AWS."""
    partial = Turn(Returned(b'{"batchItemFailures": [{"itemIdentifier": "s00:00002:c"}]}'))
    rig = LogRig(LogOptions(maximum_retry_attempts=3, reports_failures=True), lambda _: partial)
    ids = rig.put("abc")
    async with rig.running(30.0):
        pass
    assert [given for _, given in rig.function.calls] == [ids, *([ids[2:]] * 4)]
    assert (rig.destination.given, rig.destination.conditions) == ([ids[2:]], [("RetryAttemptsExhausted", 4)])


@virtual
async def test_bisect_isolates_a_poison_record() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=1, bisect=True), fails_on("s00:00002:c"))
    ids = rig.put("abcde")
    async with rig.running(30.0):
        pass
    given = [given for _, given in rig.function.calls]
    assert given == [ids, ids[:2], ids[2:], ids[2:3], ids[2:3], ids[3:]]
    assert [told.records for told in rig.told.of(Bisected)] == [5, 3]
    assert rig.destination.given == [ids[2:3]]


@virtual
async def test_the_halves_of_other_keys_do_not_wait_for_the_poison_one() -> None:
    rig = LogRig(LogOptions(bisect=True, parallelization_factor=2, batch_size=4), fails_on("s00:00000:a"))
    ids = rig.put("ab")
    async with rig.running(3.0):
        pass
    assert [ids[1]] in [given for _, given in rig.function.calls]


@virtual
async def test_expired_records_are_cut_off_and_the_young_rest_is_sent() -> None:
    rig = LogRig(LogOptions(maximum_record_age=60.0, maximum_retry_attempts=0))
    old = rig.put("a")
    await asyncio.sleep(100.0)
    young = rig.put("bc")
    async with rig.running(105.0):
        pass
    assert rig.function.given == young
    assert (rig.destination.given, rig.destination.conditions) == ([old], [("RecordAgeExceeded", 1)])
    assert "responseContext" not in rig.destination.notices[0][1].document


@virtual
async def test_records_expire_between_two_tries() -> None:
    rig = LogRig(LogOptions(maximum_record_age=20.0), lambda _: FAILURE)
    ids = rig.put("a")
    async with rig.running(100.0):
        pass
    assert rig.function.times == pytest.approx([0.0, 0.5, 1.5, 3.5, 7.5, 15.5])
    assert (rig.destination.given, rig.destination.conditions) == ([ids], [("RecordAgeExceeded", 6)])


@virtual
async def test_a_record_too_large_for_anybody_goes_to_the_destination_alone() -> None:
    rig = LogRig()
    ids = rig.put("a")
    large = rig.log.put("s00", "b", too_large=True).id
    ids += rig.put("c")
    async with rig.running(5.0):
        pass
    assert (rig.function.given, rig.destination.given) == (ids, [[large]])
    assert (await rig.store.checkpoint()).at == 9


@virtual
async def test_how_much_is_read_follows_the_size_of_records_that_no_filter_lets_pass_too() -> None:
    """Otherwise a lane behind a strict filter would read for ever as little as nobody knows anything."""
    rig = LogRig(filters=FilterSet(['{"key": ["b"]}'], DataKeys()), memory_limit=2**20)
    rig.put("a" * 2000)
    async with rig.running(30.0):
        pass
    reads = [each.records for each in rig.told.of(Polled)]
    assert (sum(reads), reads[0]) == (2000, 7)
    assert max(reads) > 100


@virtual
async def test_filtered_records_move_the_mark() -> None:
    rig = LogRig(filters=FilterSet(['{"key": [{"anything-but": "b"}]}'], DataKeys()))
    ids = rig.put("abb")
    async with rig.running(5.0):
        pass
    assert (rig.function.given, [told.records for told in rig.told.of(Filtered)]) == (ids[:1], [2])
    assert (await rig.store.checkpoint()).at == 9


# Destinations


@virtual
async def test_a_destination_that_fails_is_tried_again_and_then_the_next_one() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=0), lambda _: FAILURE, destinations=2)
    rig.destination.down = True
    ids = rig.put("a")
    async with rig.running(30.0):
        pass
    assert (len(rig.destination.tried), rig.destinations[1].given) == (3, [ids])
    assert [told.destination for told in rig.told.of(DestinationFailed)] == ["dead0"] * 3
    assert not rig.told.of(Stalled)


@virtual
async def test_while_no_destination_answers_the_lane_stalls_and_nothing_is_skipped() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=0), in_turn([FAILURE]))
    rig.destination.down = True
    ids = rig.put("a")
    async with rig.running(400.0):
        await asyncio.sleep(200.0)
        later = rig.put("b")
        await asyncio.sleep(100.0)
        assert (await rig.store.checkpoint()).at is None
        assert (rig.function.given, len(rig.told.of(Stalled)), rig.told.of(Unstalled)) == (ids, 1, [])
        rig.destination.down = False
    assert (rig.destination.given, rig.function.given) == ([ids], ids + later)
    assert len(rig.told.of(Unstalled)) == 1


@virtual
async def test_what_was_given_up_is_not_sent_again_after_a_crash() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=1), lambda _: FAILURE)
    rig.destination.down = True
    ids = rig.put("a")
    await rig.crash_at(20.0)
    assert len(rig.function.calls) == 2
    rig.destination.down = False
    rig.anew()
    async with rig.running(40.0):
        pass
    assert (len(rig.function.calls), rig.destination.given) == (2, [ids])


@virtual
async def test_without_a_destination_records_are_dropped_and_counted() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=0), lambda _: FAILURE, destinations=0)
    rig.put("ab")
    async with rig.running(5.0):
        pass
    assert [(told.records, told.delivered_to) for told in rig.told.of(Dropped)] == [(2, None)]
    assert (await rig.store.checkpoint()).at == 6


# What is written, and when


@virtual
async def test_commits_are_gathered_over_the_interval() -> None:
    rig = LogRig(LogOptions(batch_size=1, checkpoint_interval=5.0), lambda _: Turn(SUCCESS.reply, 1.0))
    rig.put("a" * 12)
    async with rig.running(30.0):
        pass
    written = [at for at, _ in rig.store.commits()]
    assert written == pytest.approx([1.0, 6.0, 11.0, 16.0, 30.0])


@virtual
async def test_nothing_counts_as_done_before_the_function_has_answered() -> None:
    rig = LogRig(LogOptions(checkpoint_interval=0.1), lambda _: Turn(SUCCESS.reply, 20.0))
    rig.put("ab")
    async with rig.running(30.0):
        pass
    moved = [at for at, checkpoint in rig.store.commits() if checkpoint.at is not None]
    assert moved[0] == 20.0


@virtual
async def test_an_idle_lane_writes_nothing() -> None:
    rig = LogRig()
    async with rig.running(100.0):
        pass
    assert [at for at, _ in rig.store.commits()] == [100.0]


@virtual
async def test_the_attempt_is_written_down_before_the_second_try_and_not_before_the_first() -> None:
    rig = LogRig(script=in_turn([FAILURE], Turn(SUCCESS.reply, 1.0)))
    rig.put("a")
    async with rig.running(10.0):
        pass
    written = [(at, checkpoint.parts) for at, checkpoint in rig.store.commits() if checkpoint.parts]
    assert written == [
        (0.0, (Budget(1, EPOCH),)),
        (0.5, (Budget(1, EPOCH, in_flight=True),)),
    ]


@virtual
async def test_a_lane_that_was_not_closed_writes_every_call_down_for_ten_intervals() -> None:
    rig = LogRig(LogOptions(batch_size=1))
    await rig.store.put(Checkpoint(0, clean=False))
    rig.put("a")
    async with rig.running(20.0):
        await asyncio.sleep(9.5)
        rig.put("a")
        await asyncio.sleep(1.0)
        rig.put("a")
    announced = [checkpoint.parts for _, checkpoint in rig.store.commits() if checkpoint.parts]
    assert announced == [(Budget(in_flight=True),)] * 2
    assert [told.careful for told in rig.told.of(LaneStarted)] == [True]


@virtual
async def test_the_budget_outlives_a_crash_and_the_crash_counts() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=3), in_turn([FAILURE, Turn(SUCCESS.reply, 30.0)], FAILURE))
    rig.put("a")
    await rig.crash_at(5.0)
    rig.anew()
    async with rig.running(60.0):
        pass
    assert [call.attempt for call in rig.function.invocations] == [1, 2, 3, 4]
    assert [told.reason for told in rig.told.of(Retried)] == ["function_error", "crash", "function_error"]
    assert rig.destination.conditions == [("RetryAttemptsExhausted", 4)]


@virtual
async def test_a_call_that_our_own_stop_cut_off_is_neutral() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=3), in_turn([FAILURE, Turn(SUCCESS.reply, 300.0)]))
    rig.put("a")
    async with rig.running(5.0):
        pass
    assert now() == pytest.approx(50.0)
    checkpoint = await rig.store.checkpoint()
    assert (checkpoint.parts, checkpoint.clean) == ((Budget(1, EPOCH),), True)


@virtual
async def test_on_stop_a_paused_owner_is_left_alone_and_goes_on_after_it() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=9), in_turn([FAILURE] * 7))
    rig.put("a")
    async with rig.running(30.0):
        pass
    assert now() == 30.0
    tried = len(rig.function.calls)
    rig.anew()
    async with rig.running(90.0):
        pass
    assert rig.function.invocations[tried].attempt == tried + 1
    assert (await rig.store.checkpoint()).at == 3


@virtual
async def test_while_the_store_fails_nothing_new_is_begun() -> None:
    rig = LogRig(LogOptions(batch_size=1))
    first = rig.put("a")
    async with rig.running(100.0):
        await asyncio.sleep(2.0)
        rig.store.down = True
        second = rig.put("b")
        await asyncio.sleep(3.0)
        third = rig.put("c")
        await asyncio.sleep(20.0)
        assert rig.function.given == first + second
        assert [told.why for told in rig.told.of(Stalled)] == ["the store fails: disk full"]
        rig.store.down = False
    assert rig.function.given == first + second + third
    assert (len(rig.told.of(Unstalled)), (await rig.store.checkpoint()).at) == (1, 9)


@virtual
async def test_a_row_that_somebody_else_took_stops_the_lane_quietly_and_is_taken_again() -> None:
    rig = LogRig()
    first = rig.put("a")
    async with rig.running(60.0):
        await asyncio.sleep(2.0)
        await rig.steal()
        second = rig.put("b")
        await asyncio.sleep(1.0)
        assert [told.lane for told in rig.told.of(LaneLost)] == ["s00"]
    assert rig.function.given == first + second + second
    assert (await rig.store.row()).epoch == 3


@virtual
async def test_whoever_writes_a_lane_again_and_again_is_given_way_for_longer_each_time() -> None:
    rig = LogRig()
    async with rig.running(200.0):
        for _ in range(3):
            rig.put("a")
            await asyncio.sleep(2.0)
            await rig.steal()
            rig.put("a")
            await asyncio.sleep(10.0)
        await asyncio.sleep(100.0)
        rig.put("a")
        await asyncio.sleep(2.0)
        await rig.steal()
        rig.put("a")
    assert [told.pause for told in rig.told.of(LaneLost)] == [0.5, 1.0, 2.0, 0.5]


@virtual
async def test_a_batch_that_an_operator_skips_goes_to_the_destination_and_the_lane_goes_on() -> None:
    poison: list[str] = []
    rig = LogRig(LogOptions(batch_size=1), lambda call: FAILURE if ids_of(call) == poison[:1] else SUCCESS)
    ids = rig.put("abc")
    poison += ids[1:2]
    async with rig.running(600.0):
        await asyncio.sleep(120.0)
        row = await rig.store.row()
        assert row.checkpoint is not None
        (part,) = row.checkpoint.parts
        assert rig.function.given.count(ids[2]) == 0
        assert await rig.store.swap(row, skipped(row, 0, "operator"))
    assert rig.destination.given == [poison]
    ((condition, attempts),) = rig.destination.conditions
    assert (condition, attempts >= part.attempts > 3) == ("RetryAttemptsExhausted", True)
    assert (rig.function.given[0], rig.function.given[-1]) == (ids[0], ids[2])
    assert [told.lane for told in rig.told.of(LaneLost)] == ["s00"]
    assert [(told.records, told.delivered_to) for told in rig.told.of(Dropped)] == [(1, "dead0")]
    assert await rig.store.checkpoint() == Checkpoint(9)


@virtual
async def test_a_batch_that_is_skipped_while_nobody_runs_is_not_sent_again() -> None:
    rig = LogRig(LogOptions(batch_size=10, bisect=True))
    ids = rig.put("abc")
    spans = (Span(3, 6, 0),)
    await rig.store.put(Checkpoint(0, spans=spans, parts=(Budget(4, EPOCH, in_flight=True),), clean=False))
    row = await rig.store.row()
    await rig.store.swap(row, skipped(row, 0, "operator"))
    async with rig.running(5.0):
        pass
    assert (rig.destination.given, rig.function.given) == ([ids[:2]], ids[2:])
    assert rig.destination.conditions == [("RetryAttemptsExhausted", 4)]


@virtual
async def test_what_is_skipped_stays_so_over_a_restart_while_its_destination_is_down() -> None:
    rig = LogRig(LogOptions(batch_size=1))
    ids = rig.put("ab")
    rig.destination.down = True
    await rig.store.put(Checkpoint(0, spans=(Span(3, 3, 0),), parts=(Budget(4, EPOCH),)))
    row = await rig.store.row()
    await rig.store.swap(row, skipped(row, 0, "operator"))
    await rig.crash_at(30.0)
    rig.destination.down = False
    rig.anew()
    async with rig.running(90.0):
        pass
    assert rig.destination.given == [ids[:1]]
    assert rig.function.given == ids[1:]


@virtual
async def test_a_lane_that_was_moved_begins_where_it_was_moved_to_even_if_it_had_ended() -> None:
    for to, wanted in ((Start(), 3), (Start(EPOCH + 15.0), 1), (6, 1)):
        began = now()
        rig = LogRig()
        ids = rig.put("ab")
        await asyncio.sleep(began + 20.0 - now())
        ids += rig.put("c")
        rig.log.split("s00")
        async with rig.running(now() + 5.0):
            pass
        assert rig.function.given == ids
        row = await rig.store.row()
        assert row.checkpoint is not None
        assert row.checkpoint.ended
        moved = to if isinstance(to, int) or to.time is None else Start(to.time + began)
        assert await rig.store.swap(row, sought(row, moved, "operator"))
        rig.anew()
        async with rig.running(now() + 5.0):
            pass
        assert rig.function.given[3:] == ids[-wanted:]


# Shards


@virtual
async def test_children_begin_when_their_parents_end_is_written() -> None:
    rig = LogRig(LogOptions(batch_size=1), lambda _: Turn(SUCCESS.reply, 10.0))
    parents = rig.put("ab")
    one, two = rig.log.split("s00")
    children = rig.put("a", shard=one.name) + rig.put("b", shard=two.name)
    async with rig.running(40.0):
        pass
    assert rig.function.given[:2] == parents
    assert sorted(rig.function.given[2:]) == children
    (ended,) = [told for told in rig.told.of(LaneEnded) if told.lane == "s00"]
    assert ended.children == ["s01", "s02"]
    at = next(at for at, checkpoint in rig.store.commits() if checkpoint.ended)
    assert rig.function.times[2:] == [at, at]


@virtual
async def test_latest_is_resolved_once_and_written_down_before_anything_is_read() -> None:
    rig = LogRig(start=Start(EPOCH + 10.0))
    rig.put("a")
    await asyncio.sleep(10.0)
    young = rig.put("b")
    await rig.crash_at(10.001)
    scope = await rig.store.row("*")
    assert scope.start == Start(EPOCH + 10.0)
    child, _ = rig.log.split("s00")
    young += rig.put("c", shard=child.name)
    rig.anew()
    async with rig.running(20.0):
        pass
    assert rig.function.given == young


@virtual
async def test_a_shard_that_vanished_with_its_records_has_ended() -> None:
    rig = LogRig(LogOptions(batch_size=1))
    rig.put("ab")
    child, _ = rig.log.split("s00")
    later = rig.put("c", shard=child.name)
    await rig.store.put(Checkpoint(3))
    async with rig.running(60.0):
        rig.log.forget("s00")
    assert rig.function.given[-1:] == later


@virtual
async def test_a_shard_that_nobody_lists_and_nobody_may_read_has_not_ended() -> None:
    rig = LogRig()
    ids = rig.put("a")
    rig.rates["denied"] = 1.0
    async with rig.running(400.0):
        await asyncio.sleep(1.0)
        rig.source.hide("s00")
        await asyncio.sleep(60.0)
        assert not rig.told.of(LaneEnded)
        rig.rates["denied"] = 0.0
    assert rig.function.given == ids


@virtual
async def test_trimmed_records_are_counted_as_lost_and_the_rest_is_read() -> None:
    rig = LogRig()
    ids = rig.put("abcd")
    rig.log.trim("s00", 3)
    async with rig.running(5.0):
        pass
    assert (rig.function.given, [told.records for told in rig.told.of(RecordsLost)]) == (ids[3:], [3])


@virtual
async def test_rows_of_ended_shards_are_cleaned_up_when_nobody_lists_them() -> None:
    rig = LogRig()
    rig.put("a")
    child, other = rig.log.split("s00")
    rig.put("a", shard=child.name)
    rig.put("b", shard=other.name)
    async with rig.running(2_000.0):
        await asyncio.sleep(10.0)
        rig.log.forget("s00")
    assert {row.lane for row in await rig.store.rows.view("id")} == {"*", child.name, other.name}


@virtual
async def test_a_shard_that_a_listing_leaves_out_for_a_while_is_not_read_again_after_a_restart() -> None:
    rig = LogRig()
    ids = rig.put("ab")
    for child in rig.log.split("s00"):
        ids += rig.put("c", shard=child.name)
    async with rig.running(1_000.0):
        await asyncio.sleep(200.0)
        shard = rig.log.shards["s00"]
        rig.log.forget("s00")
        await asyncio.sleep(600.0)
        rig.log.shards["s00"] = shard
        rig.log.wake()
    rig.anew()
    async with rig.running(1_100.0):
        pass
    assert sorted(rig.function.given) == sorted(ids)


@virtual
async def test_rows_are_not_cleaned_up_while_the_source_does_not_answer() -> None:
    rig = LogRig()
    rig.put("a")
    for child in rig.log.split("s00"):
        rig.put("b", shard=child.name)
    async with rig.running(3_000.0):
        await asyncio.sleep(10.0)
        rig.log.forget("s00")
        await asyncio.sleep(1.0)
        rig.rates["listing fails"] = 1.0
        rig.log.wake()
    assert "s00" in {row.lane for row in await rig.store.rows.view("id")}


@virtual
async def test_a_destination_may_take_as_long_as_it_says() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=0), lambda _: FAILURE)
    rig.plan = replace(rig.plan, on_failure=[replace(rig.plan.on_failure[0], patience=500.0)])
    rig.anew()
    rig.destination.takes = 300.0
    rig.put("a")
    async with rig.running(1_000.0):
        pass
    assert [at for at, _ in rig.destination.notices] == [300.0]
    assert not rig.told.of(DestinationFailed)


@virtual
async def test_a_destination_that_never_answers_is_left_after_what_it_says() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=0), lambda _: FAILURE, destinations=2)
    rig.destination.takes = 10_000.0
    rig.put("a")
    async with rig.running(1_000.0):
        pass
    failed = rig.told.of(DestinationFailed)
    assert [told.why for told in failed] == ["no answer within 120 s"] * 3
    assert len(rig.destinations[1].notices) == 1


# What can be seen


@virtual
async def test_a_lane_that_does_not_move_although_there_is_data_is_reported() -> None:
    rig = LogRig(cap=0)
    rig.put("a")
    async with rig.running(700.0):
        pass
    assert [told.seconds for told in rig.told.of(NotMoving)] == [300.0, 300.0]


@virtual
async def test_an_idle_lane_is_not_reported() -> None:
    rig = LogRig()
    rig.put("a")
    async with rig.running(2_000.0):
        pass
    assert not rig.told.of(NotMoving)


@virtual
async def test_status_sees_what_runs() -> None:
    rig = LogRig(LogOptions(batch_size=1, parallelization_factor=2), lambda _: Turn(SUCCESS.reply, 5.0))
    rig.put("aab")
    async with rig.running(1.0):
        await asyncio.sleep(1.0)
        status = rig.board.mapping("orders")
        assert status is not None
        assert status.live is not None
        assert (status.live.concurrency, status.live.gathered, status.live.pollers) == (2, 1, 1)


@virtual
async def test_memory_is_given_back() -> None:
    rig = LogRig(LogOptions(batch_size=2), memory_limit=200)
    rig.put("a" * 50)
    async with rig.running(60.0):
        pass
    assert len(rig.function.given) == 50
    status = rig.board.mapping("orders")
    assert status is not None
    assert status.live is None


@virtual
async def test_a_lane_behind_a_stuck_record_stops_reading_and_says_which_one() -> None:
    rig = LogRig(LogOptions(batch_size=10_000, parallelization_factor=2), fails_on("s00:00000:a"))
    ids = rig.put("a" + "b" * 120_000)
    async with rig.running(60.0):
        pass
    (crowded,) = rig.told.of(Crowded)
    assert (crowded.held_by, crowded.key, crowded.records >= 100_000) == (ids[0], "a", True)
    assert len(rig.function.given) < 120_000


@virtual
async def test_a_mapping_begins_when_its_store_answers() -> None:
    rig = LogRig()
    rig.store.down = True
    ids = rig.put("a")
    async with rig.running(60.0):
        await asyncio.sleep(10.0)
        assert rig.told.of(SourceFailed)[0].code == "StoreFailed"
        rig.store.down = False
    assert rig.function.given == ids


@virtual
async def test_a_mapping_that_never_began_can_be_stopped() -> None:
    rig = LogRig()
    rig.store.down = True
    async with rig.running(10.0):
        pass
    assert now() == 10.0


@virtual
async def test_a_listing_that_fails_is_tried_again() -> None:
    rig = LogRig()
    rig.rates["listing fails"] = 1.0
    ids = rig.put("a")
    async with rig.running(60.0):
        await asyncio.sleep(10.0)
        assert [told.code for told in rig.told.of(SourceFailed)][:1] == ["LimitExceededException"]
        rig.rates["listing fails"] = 0.0
    assert rig.function.given == ids
    assert rig.told.of(SourceRecovered)


@virtual
async def test_an_open_lane_that_cannot_be_read_keeps_what_it_has() -> None:
    rig = LogRig(LogOptions(maximum_retry_attempts=9), in_turn([FAILURE] * 3))
    ids = rig.put("a")
    async with rig.running(60.0):
        await asyncio.sleep(0.1)
        rig.rates["read fails"] = 1.0
        await asyncio.sleep(30.0)
        rig.rates["read fails"] = 0.0
    assert rig.function.given == ids * 4
    assert (await rig.store.checkpoint()).at == 3
