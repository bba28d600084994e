"""Deletes: gathered, retried, in order, and accounted for."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from sqs_stub import StubSqs, a_source, a_world, client_error, records, unreachable

from esm.model import Lane, Record, Settlement
from esm.sources.sqs.deletes import Deletes, deleting
from esm.sources.sqs.reader import SqsReader
from esm.testing.loop import run

Use = Callable[[SqsReader], Coroutine[Any, Any, Any]]


def use(sqs: StubSqs, body: Use, *, fifo: bool = False) -> Any:
    """Runs `body` with a reader over the stub, on virtual time."""

    async def main() -> Any:
        async with a_source(sqs, fifo=fifo).open(Lane("orders")) as reader:
            return await body(reader)

    return run(main())


def settle(sqs: StubSqs, batch: list[Record], *, fifo: bool = False) -> Settlement:
    settlement: Settlement = use(sqs, lambda reader: reader.settle(batch, (), ()), fifo=fifo)
    return settlement


def test_a_batch_goes_in_order_in_calls_of_ten() -> None:
    sqs = StubSqs()
    batch = records(25)
    assert settle(sqs, batch) == Settlement(25)
    assert sqs.deleted == [record.handle for record in batch]
    assert [len(lot) for lot in sqs.lots] == [10, 10, 5]


def test_nothing_done_is_nothing_asked() -> None:
    sqs = StubSqs()
    assert use(sqs, lambda reader: reader.settle((), records(1), ())) == Settlement()
    assert sqs.lots == []


def test_a_failed_entry_is_tried_again_alone() -> None:
    sqs = StubSqs()
    sqs.fails("r1", "InternalError", times=2)
    assert settle(sqs, records(3)) == Settlement(3)
    assert sqs.lots == [["r0", "r1", "r2"], ["r1"], ["r1"]]


@pytest.mark.parametrize(
    ("code", "sender"),
    [
        ("ReceiptHandleIsInvalid", True),
        ("InvalidParameterValue", True),
        ("AWS.SimpleQueueService.InvalidIdFormat", True),
    ],
)
def test_an_entry_that_is_refused_is_reported_and_not_tried_again(code: str, *, sender: bool) -> None:
    sqs = StubSqs()
    batch = records(3)
    sqs.fails("r1", code, sender=sender)
    assert settle(sqs, batch) == Settlement(2, (batch[1],))
    assert len(sqs.lots) == 1


@pytest.mark.parametrize(
    "code", ["RequestThrottled", "ThrottlingException", "InternalError", "ServiceUnavailable"]
)
def test_throttling_is_tried_again_even_if_called_the_senders_fault(code: str) -> None:
    sqs = StubSqs()
    sqs.fails("r0", code, sender=True)
    assert settle(sqs, records(1)) == Settlement(1)


def test_what_is_not_the_senders_fault_is_tried_again() -> None:
    sqs = StubSqs()
    sqs.fails("r0", "SomethingNew", sender=False)
    assert settle(sqs, records(1)) == Settlement(1)


def test_an_entry_missing_from_the_answer_is_tried_again() -> None:
    class Forgetful(StubSqs):
        async def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
            answer = await super().call(operation, arguments)
            return {} if len(self.lots) == 1 else answer

    sqs = Forgetful()
    assert settle(sqs, records(2)) == Settlement(2)
    assert len(sqs.lots) == 2


@pytest.mark.parametrize(
    "error",
    [unreachable(), client_error("RequestThrottled"), client_error("x", status=503), client_error("ExpiredToken")],
)
def test_a_failed_call_is_tried_again(error: Exception) -> None:
    sqs = StubSqs()
    batch = records(2)

    async def body(reader: SqsReader) -> Settlement:
        sqs.raises.append(error)
        return await reader.settle(batch, (), ())

    assert use(sqs, body) == Settlement(2)
    assert sqs.lots == [["r0", "r1"], ["r0", "r1"]]


@pytest.mark.parametrize("code", ["AccessDenied", "AWS.SimpleQueueService.NonExistentQueue"])
def test_a_call_that_lasts_in_failing_is_not_tried_again(code: str) -> None:
    sqs = StubSqs()
    batch = records(2)

    async def body(reader: SqsReader) -> Settlement:
        sqs.raises.append(client_error(code))
        return await reader.settle(batch, (), ())

    assert use(sqs, body) == Settlement(0, tuple(batch))
    assert len(sqs.lots) == 1


def test_trying_ends_by_count() -> None:
    sqs = StubSqs()
    batch = records(2)
    sqs.fails("r0", "InternalError", times=100)
    assert settle(sqs, batch) == Settlement(1, (batch[0],))
    assert len(sqs.lots) == 8


def test_trying_ends_by_time() -> None:
    sqs = StubSqs(latency=6.0)
    batch = records(1)
    sqs.fails("r0", "InternalError", times=100)
    assert settle(sqs, batch) == Settlement(0, (batch[0],))
    assert 3 <= len(sqs.lots) <= 5


def test_a_call_that_hangs_is_given_up_and_tried_again() -> None:
    sqs = StubSqs(latency=10_000.0)
    batch = records(1)

    async def body() -> Settlement:
        world = a_world()
        async with deleting(sqs.call, "url", world) as deletes:
            return await deletes.place(batch).settlement()

    assert run(body()) == Settlement(0, tuple(batch))
    assert len(sqs.lots) == 3  # 10 s each, 30 s in all


def test_pauses_are_jittered_and_grow() -> None:
    sqs = StubSqs()
    sqs.fails("r0", "InternalError", times=3)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def main() -> None:
        async with a_source(sqs, sleep=sleep, chance=lambda: 0.5).open(Lane("orders")) as reader:
            await reader.settle(records(1), (), ())

    run(main())
    assert pauses == pytest.approx([0.05, 0.1, 0.2])


def test_small_batches_gather_while_calls_are_under_way() -> None:
    sqs = StubSqs()
    batch = records(40)

    async def body(reader: SqsReader) -> None:
        async with asyncio.TaskGroup() as tasks:
            for record in batch:
                tasks.create_task(reader.settle((record,), (), ()))

    use(sqs, body)
    assert sorted(sqs.deleted) == sorted(record.handle for record in batch)
    assert [len(lot) for lot in sqs.lots][:2] == [1, 1], "the first ones must not wait"
    assert len(sqs.lots) <= 7
    assert sqs.most_open <= 8


def test_a_lone_delete_waits_for_nothing() -> None:
    sqs = StubSqs(latency=1.0)

    async def body(reader: SqsReader) -> float:
        began = asyncio.get_running_loop().time()
        await reader.settle(records(1), (), ())
        return asyncio.get_running_loop().time() - began

    assert use(sqs, body) == pytest.approx(1.0)


def test_many_deletes_are_bounded_in_parallel() -> None:
    sqs = StubSqs(latency=1.0)

    async def body(reader: SqsReader) -> float:
        began = asyncio.get_running_loop().time()
        await reader.settle(records(1000), (), ())
        return asyncio.get_running_loop().time() - began

    assert use(sqs, body) == pytest.approx(100 / 8, abs=1.0)
    assert sqs.most_open == 8


class Watching(StubSqs):
    """Counts how often a group had two calls open at once; groups alternate over a, b and c."""

    overlaps = 0

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        groups = {int(entry["ReceiptHandle"][1:]) % 3 for entry in arguments["Entries"]}
        self.overlaps += len(groups & self.busy)
        self.busy |= groups
        try:
            return await super().call(operation, arguments)
        finally:
            self.busy -= groups

    def __init__(self) -> None:
        super().__init__()
        self.busy: set[int] = set()


def test_a_group_has_one_call_open_at_a_time_and_keeps_its_order() -> None:
    sqs = Watching()
    batch = records(60, "a", "b", "c")
    sqs.fails("r3", "InternalError", times=2)

    async def body(reader: SqsReader) -> None:
        async with asyncio.TaskGroup() as tasks:
            for at in range(0, 60, 6):
                tasks.create_task(reader.settle(batch[at : at + 6], (), ()))

    use(sqs, body, fifo=True)
    assert len(sqs.deleted) == 60
    assert sqs.overlaps == 0
    for group in range(3):
        asked = [[handle for handle in lot if int(handle[1:]) % 3 == group] for lot in sqs.lots]
        in_order = list(dict.fromkeys(handle for lot in asked for handle in lot))
        assert in_order == [f"r{number}" for number in range(group, 60, 3)]
    of_a = [lot for lot in ([handle for handle in lot if int(handle[1:]) % 3 == 0] for lot in sqs.lots) if lot]
    assert [lot[0] for lot in of_a[:3]] == ["r0", "r3", "r3"], "what failed stays ahead of the rest of its group"


def test_what_failed_is_tried_again_without_the_rest_of_its_group() -> None:
    sqs = StubSqs()
    batch = records(16, "a", "b")
    sqs.fails("r0", "InternalError", times=2)
    assert settle(sqs, batch, fifo=True) == Settlement(16)
    of_a = [lot for lot in ([handle for handle in lot if int(handle[1:]) % 2 == 0] for lot in sqs.lots) if lot]
    assert of_a == [["r0", "r2", "r4", "r6", "r8"], ["r0"], ["r0"], ["r10", "r12", "r14"]]


def test_what_overtook_an_undeletable_one_is_named() -> None:
    sqs = StubSqs()
    batch = records(6, "a", "b")
    sqs.fails("r2", "ReceiptHandleIsInvalid", sender=True)
    assert settle(sqs, batch, fifo=True) == Settlement(5, (batch[2],), (batch[4],))


def test_nothing_overtakes_where_there_is_no_order() -> None:
    sqs = StubSqs()
    batch = records(3)
    sqs.fails("r0", "ReceiptHandleIsInvalid", sender=True)
    assert settle(sqs, batch) == Settlement(2, (batch[0],))


def test_another_group_does_not_wait_for_one_that_fails() -> None:
    sqs = StubSqs()
    a, b = records(2, "a", "b")
    sqs.fails("r0", "InternalError", times=5)

    async def body(reader: SqsReader) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reader.settle((a,), (), ()))
            tasks.create_task(reader.settle((b,), (), ()))

    use(sqs, body, fifo=True)
    assert sqs.deleted == ["r1", "r0"]


def test_cancelling_one_settle_leaves_its_deletes_and_those_of_others() -> None:
    sqs = StubSqs(latency=1.0)
    first, second = records(2)

    async def body(reader: SqsReader) -> Settlement:
        async with asyncio.TaskGroup() as tasks:
            doomed = tasks.create_task(reader.settle((first,), (), ()))
            kept = tasks.create_task(reader.settle((second,), (), ()))
            await asyncio.sleep(0.5)
            doomed.cancel()
        return kept.result()

    assert use(sqs, body) == Settlement(1)
    assert sqs.deleted == ["r0", "r1"]


def test_leaving_the_reader_waits_for_deletes_even_after_an_error() -> None:
    sqs = StubSqs(latency=1.0)

    async def main() -> None:
        async with deleting(sqs.call, "url", a_world()) as deletes:
            deletes.place(records(200))
            raise KeyError("the body failed")

    with pytest.raises(KeyError):
        run(main())
    assert len(sqs.deleted) == 200


def test_cancelling_the_reader_ends_at_once_and_leaves_no_one_waiting() -> None:
    sqs = StubSqs(latency=1000.0)
    kept: list[Deletes] = []
    batch = records(25)

    async def use_it() -> None:
        async with deleting(sqs.call, "url", a_world()) as deletes:
            kept.append(deletes)
            await asyncio.Event().wait()

    async def main() -> Settlement:
        async with asyncio.TaskGroup() as tasks:
            user = tasks.create_task(use_it())
            await asyncio.sleep(0.1)
            order = kept[0].place(batch)
            await asyncio.sleep(0.1)
            user.cancel()
            return await order.settlement()

    assert run(main()) == Settlement(0, tuple(batch))


def test_cancelling_while_the_reader_is_left_ends_at_once() -> None:
    sqs = StubSqs(latency=5.0)

    async def use_it() -> None:
        async with deleting(sqs.call, "url", a_world()) as deletes:
            deletes.place(records(200))

    async def main() -> float:
        async with asyncio.TaskGroup() as tasks:
            user = tasks.create_task(use_it())
            await asyncio.sleep(7)
            user.cancel()
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(7)
