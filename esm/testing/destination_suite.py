"""What every on-failure destination must do, to be run against each of them.

A test module makes a harness per destination and runs each of `RULES` with it:

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    async def test_contract(rule): await rule(MyHarness())

What a destination adds of its own (a payload, an envelope) the harness takes away again.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from esm.core.notice import EXTENSION, without_records
from esm.errors import Undeliverable
from esm.model import Notice
from esm.ports import Checkable, Destination

_AT = 1573691886.021
_LANE = "shardId-000000000001"


class Bench(Protocol):
    """An open destination and what came out at its other end."""

    destination: Destination

    async def received(self, count: int) -> Sequence[Mapping[str, Any]]:
        """All documents that arrived, as soon as there are at least `count`."""


class Harness(Protocol):
    """How to get at one kind of destination."""

    def open(self) -> AbstractAsyncContextManager[Bench]:
        """One that takes notices and has none yet."""

    def absent(self) -> AbstractAsyncContextManager[Destination]:
        """One with nothing behind it."""


def notice(request: str = "1", texts: Sequence[str] = ()) -> Notice:
    """A notice with AWS's members, and with our extension if there are `texts` for original records."""
    document: dict[str, Any] = {
        "requestContext": {
            "requestId": request,
            "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": None},
        "version": "1.0",
        "timestamp": "2019-11-14T00:38:06.021Z",
        "KinesisBatchInfo": {
            "shardId": _LANE,
            "startSequenceNumber": "49601189658422359378836298521827638475320189012309704722",
            "endSequenceNumber": "49601189658422359378836298522902373528957594348623495186",
            "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
            "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.580Z",
            "batchSize": 500,
            "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/mystream",
        },
    }
    if texts:
        document[EXTENSION] = {"mapping": "orders", "attempts": 3, "error": None, "records": list(texts)}
    event = json.dumps({"Records": [{"text": text} for text in texts]}).encode()
    return Notice(document, event, _AT, "4f6c9f1e-2f3d-5a0b-9d0e-9a0c6f7d2b11", _LANE)


def require(condition: object, what: str, seen: object) -> None:
    if not condition:
        raise AssertionError(f"{what}; got {seen!r}")


async def a_notice_arrives_whole_and_in_its_order(harness: Harness) -> None:
    sent = notice()
    async with harness.open() as bench:
        await bench.destination.deliver(sent)
        (got,) = await bench.received(1)
    require(json.dumps(got) == json.dumps(sent.document), "each member, and in its place", got)


async def any_text_arrives(harness: Harness) -> None:
    texts = [
        'größer ✓ 😀 \\ " \u2028',
        "\x00\x07\x1f\x7f",
        "\ufffe\uffff",
        "half a pair: \ud83d",
        "</Message>&amp;\r\n",
    ]
    sent = notice(texts=texts)
    async with harness.open() as bench:
        await bench.destination.deliver(sent)
        (got,) = await bench.received(1)
    require(got == sent.document, "each letter", got)


async def a_large_notice_arrives_and_says_what_it_lacks(harness: Harness) -> None:
    sent = notice(texts=["ä" * 200_000] * 5)
    async with harness.open() as bench:
        await bench.destination.deliver(sent)
        (got,) = await bench.received(1)
    known = (sent.document, without_records(sent.document))
    require(got in known, "all of it, or all but the records", {**got, EXTENSION: "…"})


async def notices_at_once_all_arrive(harness: Harness) -> None:
    names = {str(n) for n in range(6)}
    async with harness.open() as bench:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(bench.destination.deliver(notice(name)))
        got = await bench.received(len(names))
    require({one["requestContext"]["requestId"] for one in got} == names, "each of them", got)


async def the_same_notice_may_come_again(harness: Harness) -> None:
    async with harness.open() as bench:
        for _ in range(2):
            await bench.destination.deliver(notice())
        got = await bench.received(1)
    require(all(one == notice().document for one in got), "nothing but that notice", got)


async def a_cancelled_delivery_harms_no_other(harness: Harness) -> None:
    async with harness.open() as bench:
        async with asyncio.TaskGroup() as group:
            abandoned = group.create_task(bench.destination.deliver(notice("abandoned")))
            await asyncio.sleep(0)
            abandoned.cancel()
        await bench.destination.deliver(notice("other"))
        got = await _named(bench, "other")
    require(got == notice("other").document, "the other arrives", got)


async def nothing_there_is_undeliverable(harness: Harness) -> None:
    async with harness.absent() as destination:
        for _ in range(2):
            try:
                await destination.deliver(notice())
            except Undeliverable as error:
                said = str(error)
                require(said and len(said) < 700 and "\n" not in said, "why, on one line", said)
            else:
                raise AssertionError("what nobody took is Undeliverable")


async def a_check_gives_nothing(harness: Harness) -> None:
    async with harness.open() as bench:
        if isinstance(bench.destination, Checkable):
            found = list(await bench.destination.check())
            require(not found, "nothing is wrong with it", found)
            await bench.destination.deliver(notice("real"))
            told = [document["requestContext"]["requestId"] for document in await bench.received(1)]
            require(told == ["real"], "only what was delivered has arrived", told)


async def a_check_finds_nothing_there(harness: Harness) -> None:
    async with harness.absent() as destination:
        if isinstance(destination, Checkable):
            found = list(await destination.check())
            require(any(one.broken for one in found), "what is not there is broken", found)


async def _named(bench: Bench, request: str) -> Mapping[str, Any] | None:
    """The document of a request, which may come before or behind another one."""
    for count in (1, 2):
        for one in await bench.received(count):
            if one["requestContext"]["requestId"] == request:
                return one
    return None


Rule = Callable[[Harness], Awaitable[None]]

RULES: Sequence[Rule] = (
    a_notice_arrives_whole_and_in_its_order,
    any_text_arrives,
    a_large_notice_arrives_and_says_what_it_lacks,
    notices_at_once_all_arrive,
    the_same_notice_may_come_again,
    a_cancelled_delivery_harms_no_other,
    nothing_there_is_undeliverable,
    a_check_gives_nothing,
    a_check_finds_nothing_there,
)
