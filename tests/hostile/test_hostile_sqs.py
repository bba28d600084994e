"""Servers, functions and settings that do their worst; each test names the rule that must survive it.

The real engine and the real SQS source run on virtual time against a queue whose client a test can bend: it
may answer late, partly, twice, or with nonsense.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from esm.api.view import status_document
from esm.clients.aws import AwsOptions
from esm.clients.http import Answered
from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned
from esm.plugins import SourceContext
from esm.ports import Target
from esm.runtime.engine import Engine
from esm.runtime.happenings import Crashed, Deleted, Happening, Invoked, Rejection
from esm.runtime.plan import EnginePlan, QueueOptions, QueuePlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.sources.sqs import SqsOptions, SqsSource
from esm.targets.http.replies import reply_to
from esm.testing import loop
from esm.testing.queue.fake import FakeQueue, Message
from esm.world import World as SqsWorld

EPOCH = 1_700_000_000.0
ARN = "arn:aws:sqs:us-east-2:123456789012:orders"
PLENTY = 10**9

Answer = dict[str, Any]
Bend = Callable[[Answer], Answer]
Script = Callable[[list[str]], Awaitable[Reply]]


def now() -> float:
    return asyncio.get_running_loop().time()


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test on virtual time."""

    def run(**parameters: Any) -> None:
        loop.run(test(**parameters))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    run.__dict__.update(test.__dict__)
    run.__wrapped__ = test  # type: ignore[attr-defined]  # pytest looks here for parameters
    return run


def failing(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "X"
    )


class Sqs:
    """An SQS client over a fake queue: `before[operation]` may wait or raise, `bend[operation]` bends answers."""

    meta = SimpleNamespace(region_name="us-east-2")

    def __init__(self, queue: FakeQueue, latency: float = 0.005) -> None:
        self.queue = queue
        self.latency = latency
        self.attributes = {
            "QueueArn": ARN + (".fifo" if queue.ordered else ""),
            "VisibilityTimeout": f"{queue.terms.visibility:g}",
        }
        self.before: dict[str, Callable[[Mapping[str, Any]], Awaitable[None]]] = {}
        self.bend: dict[str, Bend] = {}
        self.calls: Counter[str] = Counter()

    async def get_queue_url(self, **arguments: Any) -> Answer:
        return await self._answered("url", arguments, lambda: {"QueueUrl": "http://127.0.0.1:1/0/orders"})

    async def get_queue_attributes(self, **arguments: Any) -> Answer:
        return await self._answered("attributes", arguments, lambda: {"Attributes": dict(self.attributes)})

    @property
    def cold(self) -> "Sqs":
        return self

    @property
    def hot(self) -> "Sqs":
        return self

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> Answer:
        operations = {
            "ReceiveMessage": self._receive,
            "DeleteMessageBatch": self._delete,
            "ChangeMessageVisibilityBatch": self._change,
        }
        return await operations[operation](arguments)

    async def _receive(self, arguments: Mapping[str, Any]) -> Answer:
        await self._reached("receive", arguments)
        messages = await self._poll(arguments["MaxNumberOfMessages"], arguments["WaitTimeSeconds"])
        for message in messages:
            message.visible_at = now() + arguments.get("VisibilityTimeout", self.queue.terms.visibility)
        answer = {"Messages": [self._message(message) for message in messages]}
        return self.bend.get("receive", _as_it_is)(answer)

    async def _delete(self, arguments: Mapping[str, Any]) -> Answer:
        def delete() -> Answer:
            good = [e["Id"] for e in arguments["Entries"] if self.queue.delete(e["ReceiptHandle"])]
            return self._entries(arguments, good)

        return await self._answered("delete", arguments, delete)

    async def _change(self, arguments: Mapping[str, Any]) -> Answer:
        def change() -> Answer:
            good = [
                e["Id"]
                for e in arguments["Entries"]
                if self.queue.change(e["ReceiptHandle"], e["VisibilityTimeout"])
            ]
            return self._entries(arguments, good)

        return await self._answered("change", arguments, change)

    async def _answered(self, operation: str, arguments: Mapping[str, Any], act: Callable[[], Answer]) -> Answer:
        await self._reached(operation, arguments)
        return self.bend.get(operation, _as_it_is)(act())

    async def _reached(self, operation: str, arguments: Mapping[str, Any]) -> None:
        self.calls[operation] += 1
        await asyncio.sleep(self.latency)
        if before := self.before.get(operation):
            await before(arguments)

    async def _poll(self, limit: int, wait: float) -> list[Message]:
        until = now() + wait
        while not (messages := self.queue.receive(limit)) and (left := until - now()) > 0:
            self.queue.arrival.clear()
            try:
                async with asyncio.timeout(min(left, self.queue.next_visible() or left)):
                    await self.queue.arrival.wait()
            except TimeoutError:
                continue
        return messages

    def _message(self, message: Message) -> Answer:
        attributes = {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(int((EPOCH + message.sent) * 1000)),
        }
        if message.group:
            attributes["MessageGroupId"] = message.group
        return {
            "MessageId": message.id,
            "ReceiptHandle": message.receipt,
            "Body": message.id,
            "MD5OfBody": "",
            "Attributes": attributes,
        }

    def _entries(self, arguments: Mapping[str, Any], good: list[str]) -> Answer:
        bad = [e["Id"] for e in arguments["Entries"] if e["Id"] not in good]
        failed = [{"Id": i, "Code": "ReceiptHandleIsInvalid", "SenderFault": True} for i in bad]
        return {"Successful": [{"Id": i} for i in good], "Failed": failed}


def _as_it_is(answer: Answer) -> Answer:
    return answer


class Function:
    """A target by script that notes what it was given, and when; `active` holds what it works on."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.calls: list[tuple[float, list[str]]] = []
        self.active: Counter[str] = Counter()
        self.twice_at_once: list[str] = []

    async def invoke(self, call: Invocation) -> Reply:
        ids = [record["messageId"] for record in json.loads(call.payload)["Records"]]
        self.calls.append((now(), ids))
        self.twice_at_once += [id_ for id_ in ids if self.active[id_]]
        self.active.update(ids)
        try:
            return await self._script(ids)
        finally:
            self.active.subtract(ids)

    @property
    def given(self) -> Counter[str]:
        return Counter(id_ for _, ids in self.calls for id_ in ids)


def lasting(seconds: float, reply: Reply = Returned(b"null")) -> Script:  # noqa: B008 -- frozen
    async def script(_: list[str]) -> Reply:
        await asyncio.sleep(seconds)
        return reply

    return script


class Rig:
    """An engine over any number of queues and functions, and what it told."""

    def __init__(self, *, memory_limit: int = PLENTY, cap: int | None = None, grace: float = 45.0) -> None:
        self.told: list[Happening] = []
        self.at: list[float] = []
        self._chance = random.Random(7)
        self._cap = cap
        self._memory_limit = memory_limit
        self._grace = grace
        self._mappings: dict[str, QueuePlan] = {}
        self._targets: dict[str, TargetPlan] = {}
        self._numbers = iter(range(10**9))
        self.board = StatusBoard(lambda: EPOCH + now())
        self.spoil: Callable[[Happening], None] = lambda _: None

    def mapping(
        self, name: str, sqs: Sqs, function: Target, options: QueueOptions | None = None, *, target: str = ""
    ) -> None:
        """`target` names a target that several mappings share; without it each has its own."""
        target = target or f"target of {name}"
        self._targets[target] = TargetPlan(target, lambda: _opened(function), self._cap)
        source = _source(sqs, self._new_id, self._chance.random)
        self._mappings[name] = QueuePlan(name, "id", True, source, target, options or QueueOptions())

    def of(self, kind: type[Happening], mapping: str | None = None) -> list[Any]:
        return [each for each in self.told if isinstance(each, kind) and mapping in {None, each.mapping}]

    def engine(self) -> Engine:
        world = World(now, lambda: EPOCH + now(), self._chance.random, self._new_id, self._tell)
        plan = EnginePlan(self._mappings, self._targets, self._memory_limit)
        return Engine(plan, self.board, world, self._grace)

    @asynccontextmanager
    async def running(self, seconds: float | None = None) -> AsyncIterator[Engine]:
        engine = self.engine()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.run())
            yield engine
            if seconds is not None:
                await asyncio.sleep(seconds - now())
            engine.stop.set()

    def _tell(self, happening: Happening) -> None:
        self.spoil(happening)
        self.told.append(happening)
        self.at.append(now())
        self.board.tell(happening)

    def _new_id(self) -> str:
        return f"id-{next(self._numbers)}"


@asynccontextmanager
async def _opened(target: Target) -> AsyncIterator[Target]:
    yield target


def _source(sqs: Sqs, new_id: Callable[[], str], chance: Callable[[], float]) -> SqsSource:
    def lease(_service: str, _options: AwsOptions) -> AbstractAsyncContextManager[Any]:
        return nullcontext(sqs)

    options = SqsOptions(arn=ARN + (".fifo" if sqs.queue.ordered else ""))
    world = SqsWorld(now, lambda: EPOCH + now(), asyncio.sleep, chance, new_id)
    return SqsSource(options, SourceContext("orders", {}, 0.0, world), lease)


def a_queue(count: int = 0, group: str | None = None, **settings: Any) -> FakeQueue:
    queue = FakeQueue(now, epoch=EPOCH, ordered=group is not None, **settings)
    for _ in range(count):
        queue.send(group)
    return queue


def receives(queue: FakeQueue) -> int:
    """The most often any message that is still there was received."""
    return max((message.receives for message in queue.messages.values()), default=0)


# Records


@virtual
async def test_d24_what_is_lost_while_its_batch_waits_for_a_slot_is_not_sent() -> None:
    """D24: a copy lost before its invoke leaves its batch. The wait for the target's slot is before it."""
    rig = Rig(cap=1)
    busy, waiting = Sqs(a_queue(1)), Sqs(a_queue(visibility=30.0))
    blocker, function = Function(lasting(100.0)), Function(lasting(1.0))

    class Both:
        async def invoke(self, call: Invocation) -> Reply:
            return await (blocker if call.mapping == "busy" else function).invoke(call)

    rig.mapping("busy", busy, Both(), target="shared")
    rig.mapping("waiting", waiting, Both(), target="shared")
    async with rig.running(130.0):
        await asyncio.sleep(1.0)
        waiting.queue.send()
        await asyncio.sleep(1.0)
        message = next(iter(waiting.queue.messages.values()))
        assert message.receives == 1
        message.receives += 1  # somebody else has it now: our receipt is stale
        message.visible_at = now() + 10_000.0
    assert not function.calls, "a record that another consumer has was sent all the same"


@virtual
async def test_a_visibility_timeout_of_zero_still_delivers() -> None:
    """Issue 4: messages are delivered; a VisibilityTimeout of 0 is legal, if unwise (the check says so)."""
    rig = Rig()
    sqs = Sqs(a_queue(3, visibility=0.0))
    function = Function(lasting(0.001))
    rig.mapping("orders", sqs, function)
    async with rig.running(20.0):
        pass
    assert sum(sqs.calls.values()) < 1_000, f"calls in 20 s: {dict(sqs.calls)}"
    assert set(function.given) == {"m00001", "m00002", "m00003"}, "nothing was ever sent"


@virtual
async def test_a_server_that_returns_what_is_held_again_and_again_is_not_asked_without_a_pause() -> None:
    """No spinning: a receive that brought nothing new tells as little as an empty one."""
    rig = Rig()
    sqs = Sqs(a_queue(1))

    def again(answer: Answer) -> Answer:
        for message in list(sqs.queue.messages.values()):
            message.receives += not answer["Messages"]
            answer["Messages"] = [sqs._message(message)]
        return answer

    sqs.bend["receive"] = again

    async def no_wait(arguments: Mapping[str, Any]) -> None:
        arguments["WaitTimeSeconds"] = 0  # type: ignore[index]

    sqs._poll = lambda limit, wait: asyncio.sleep(0, sqs.queue.receive(limit))  # type: ignore[method-assign]
    function = Function(lasting(20.0))
    rig.mapping("orders", sqs, function)
    async with rig.running(20.0):
        pass
    assert function.given == {"m00001": 1}
    assert sqs.calls["receive"] < 100, f"{sqs.calls['receive']} receives in 20 s for one message that is held"


@virtual
async def test_one_entry_that_is_never_answered_does_not_cost_the_others_their_visibility() -> None:
    """Issue 4: a slow target never causes a second delivery; a refusal burns no receive count."""
    rig = Rig()
    sqs = Sqs(a_queue(30, visibility=30.0))
    mute = "m00005"

    async def note(arguments: Mapping[str, Any]) -> None:
        ids = [e["Id"] for e in arguments["Entries"] if e["ReceiptHandle"].startswith(mute)]
        sqs.bend["change"] = lambda answer: {
            "Successful": [e for e in answer["Successful"] if e["Id"] not in ids],
            "Failed": [e for e in answer["Failed"] if e["Id"] not in ids],
        }

    sqs.before["change"] = note

    async def busy_then_well(_: list[str]) -> Reply:
        return Refused(Outcome.THROTTLED, "busy") if now() < 120.0 else Returned(b"null")

    function = Function(busy_then_well)
    messages = dict(sqs.queue.messages)
    rig.mapping("orders", sqs, function, QueueOptions(batch_size=10))
    async with rig.running(300.0):
        pass
    burnt = {m.id: m.receives for m in messages.values() if m.receives > 1}
    assert set(burnt) <= {mute}, f"received again although only {mute} was never answered: {burnt}"


@virtual
async def test_one_call_that_hangs_does_not_cost_the_others_their_visibility() -> None:
    """Issue 4: heartbeat by deadline for all that is held, before the headroom ends."""
    rig = Rig()
    sqs = Sqs(a_queue(40, visibility=30.0))
    hung = 0

    async def hangs(arguments: Mapping[str, Any]) -> None:
        nonlocal hung
        if any(e["ReceiptHandle"].startswith("m00001#") for e in arguments["Entries"]) and hung < 2:
            hung += 1
            await asyncio.sleep(60.0)

    sqs.before["change"] = hangs
    function = Function(lasting(100.0))
    messages = dict(sqs.queue.messages)
    rig.mapping("orders", sqs, function, QueueOptions(batch_size=10))
    async with rig.running(150.0):
        pass
    assert hung
    burnt = {m.id: m.receives for m in messages.values() if m.receives > 1}
    assert len(burnt) <= 10, f"one call of ten entries hung, and {len(burnt)} messages became visible"


@virtual
async def test_the_answer_to_an_old_heartbeat_says_nothing_about_a_newer_receipt() -> None:
    """D24: the newer receipt replaces the old one; what the queue says of the old one is out of date."""
    rig = Rig()
    sqs = Sqs(a_queue(1, visibility=10.0))
    renewed = False

    async def renew(_: Mapping[str, Any]) -> None:
        nonlocal renewed
        if not renewed:
            renewed = True
            message = sqs.queue.messages["m00001"]
            message.visible_at = 0.0  # it became visible on the way, and our own open read took it
            sqs.queue.arrival.set()
            await asyncio.sleep(2.0)

    sqs.before["change"] = renew

    function = Function(lasting(0.1))
    message = sqs.queue.messages["m00001"]
    rig.mapping("orders", sqs, function, QueueOptions(batch_size=20, window=15.0))
    async with rig.running(60.0):
        pass
    assert renewed
    assert message.receives == 2, "the newer copy was dropped because the older receipt was refused"


@virtual
async def test_one_expired_token_does_not_undo_a_batch() -> None:
    """Issue 4: a delete's failure is handled and retried; credentials are renewed within seconds."""
    rig = Rig()
    sqs = Sqs(a_queue(1))
    failures = iter([failing("ExpiredToken")])

    async def expired(_: Mapping[str, Any]) -> None:
        if error := next(failures, None):
            raise error

    sqs.before["delete"] = expired
    function = Function(lasting(0.1))
    rig.mapping("orders", sqs, function)
    async with rig.running(60.0):
        pass
    assert function.given == {"m00001": 1}, "delivered twice because one delete met an expired token"


@virtual
async def test_partial_failures_are_not_extended_while_the_rest_is_being_deleted() -> None:
    """Spec 2.1, issue 4: a failed message is left to the queue's own visibility timeout."""
    rig = Rig()
    sqs = Sqs(a_queue(2, visibility=10.0))

    async def slow(_: Mapping[str, Any]) -> None:
        await asyncio.sleep(8.0)

    sqs.before["delete"] = slow

    async def half(ids: list[str]) -> Reply:
        failed = [{"itemIdentifier": id_} for id_ in ids if id_ == "m00002"]
        return Returned(json.dumps({"batchItemFailures": failed}).encode())

    function = Function(half)
    rig.mapping("orders", sqs, function, QueueOptions(reports_failures=True))
    async with rig.running(30.0):
        pass
    first, again = [at for at, ids in function.calls if "m00002" in ids][:2]
    assert again - first < 11.0, "the timeout of a message that had failed was extended"


# Receive counts


@virtual
async def test_d1_a_message_older_than_its_retention_by_our_clock_is_not_passed_to_and_fro() -> None:
    """D1: no receive count is burnt while the target's slots are taken, whatever SentTimestamp says."""
    rig = Rig(cap=1)
    busy, odd = Sqs(a_queue(1)), Sqs(a_queue())
    function = Function(lasting(20.0))

    def long_ago(answer: Answer) -> Answer:
        for message in answer["Messages"]:
            message["Attributes"]["SentTimestamp"] = "0"
        return answer

    odd.bend["receive"] = long_ago
    rig.mapping("busy", busy, function, target="shared")
    rig.mapping("odd", odd, function, target="shared")
    async with rig.running(19.0):
        await asyncio.sleep(1.0)
        odd.queue.send()
        await asyncio.sleep(17.0)
        assert receives(odd.queue) <= 2, f"received {receives(odd.queue)} times in 18 s and never sent"


@virtual
async def test_max_hold_of_zero_does_not_pass_messages_to_and_fro() -> None:
    """max_hold 0 is allowed: refused batches are let go at once. Waiting for a slot is no refusal."""
    rig = Rig(cap=1)
    busy, odd = Sqs(a_queue(1)), Sqs(a_queue())
    function = Function(lasting(20.0))
    rig.mapping("busy", busy, function, target="shared")
    rig.mapping("odd", odd, function, QueueOptions(max_hold=0.0), target="shared")
    async with rig.running(19.0):
        await asyncio.sleep(1.0)
        odd.queue.send()
        await asyncio.sleep(17.0)
        assert receives(odd.queue) <= 2, f"received {receives(odd.queue)} times in 18 s and never sent"


@virtual
async def test_one_malformed_message_does_not_hide_the_others_of_its_page() -> None:
    """No receive count is burnt for a neighbour's fault."""
    rig = Rig()
    sqs = Sqs(a_queue(5))

    def broken(answer: Answer) -> Answer:
        for message in answer["Messages"]:
            if message["MessageId"] == "m00003":
                del message["ReceiptHandle"]
        return answer

    sqs.bend["receive"] = broken
    function = Function(lasting(0.1))
    rig.mapping("orders", sqs, function)
    async with rig.running(100.0):
        pass
    assert set(function.given) == {"m00001", "m00002", "m00004", "m00005"}
    assert rig.of(Rejection), "nobody was told of it"


@virtual
async def test_retry_after_of_a_day_does_not_stop_a_target_that_is_back() -> None:
    """D7, issue 4: a refusal is retried in place; one strange header must not stall the mapping for an hour."""
    rig = Rig()
    sqs = Sqs(a_queue(20))

    async def once(_: list[str]) -> Reply:
        return Refused(Outcome.THROTTLED, "busy", 86_400.0) if now() < 1.0 else Returned(b"null")

    function = Function(once)
    rig.mapping("orders", sqs, function, QueueOptions(concurrency=1, starts_at=1))
    async with rig.running(900.0):
        pass
    assert not sqs.queue.messages, f"{len(sqs.queue.messages)} messages wait a quarter of an hour later"


# Crashes of a lane


NONSENSE: dict[str, Callable[[Answer], None]] = {
    "half a surrogate pair as the id": lambda m: m.update(MessageId="\ud800"),
    "a number as the id": lambda m: m.update(MessageId=5),
    "a list as the id": lambda m: m.update(MessageId=["m"]),
    "null as the id": lambda m: m.update(MessageId=None),
    "a list as the group": lambda m: m["Attributes"].update(MessageGroupId=["g"]),
    "half a surrogate pair as the group": lambda m: m["Attributes"].update(MessageGroupId="\udfff"),
    "no attributes": lambda m: m.update(Attributes=None),
    "attributes that are no object": lambda m: m.update(Attributes=["x"]),
    "a time that is no number": lambda m: m["Attributes"].update(SentTimestamp="yesterday"),
    "an infinite time": lambda m: m["Attributes"].update(SentTimestamp=float("inf")),
    "a time before all times": lambda m: m["Attributes"].update(SentTimestamp="-" + "9" * 300),
    "message attributes that are no object": lambda m: m.update(MessageAttributes=[1]),
    "a body that is no text": lambda m: m.update(Body={"a": 1}),
    "an unthinkable number as the body": lambda m: m.update(Body=10**40),
    "a null receipt": lambda m: m.update(ReceiptHandle=None),
}


@pytest.mark.parametrize("ordered", [False, True], ids=["standard", "fifo"])
@pytest.mark.parametrize("what", NONSENSE)
@virtual
async def test_a_message_of_nonsense_cancels_no_call_under_way(what: str, ordered: bool) -> None:  # noqa: FBT001
    """Issue 4: never a crash of the mapping. A crash of the lane cancels calls under way: they come again."""
    rig = Rig()
    sqs = Sqs(a_queue(1, group="g" if ordered else None))

    def broken(answer: Answer) -> Answer:
        for message in answer["Messages"]:
            if not message["MessageId"].startswith("m00001"):
                NONSENSE[what](message)
        return answer

    sqs.bend["receive"] = broken
    function = Function(lasting(20.0))
    rig.mapping("orders", sqs, function)
    async with rig.running(60.0):
        await asyncio.sleep(5.0)
        sqs.queue.send("h" if ordered else None)
    assert not rig.of(Crashed), [each.error for each in rig.of(Crashed)]
    assert function.given["m00001-g" if ordered else "m00001"] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VisibilityTimeout", "soon"),
        ("VisibilityTimeout", ""),
        ("VisibilityTimeout", None),
        ("MessageRetentionPeriod", "long"),
        ("ApproximateNumberOfMessages", "many"),
        ("ApproximateNumberOfMessagesNotVisible", "1.5"),
    ],
)
@virtual
async def test_attributes_of_nonsense_cancel_no_call_under_way(name: str, value: Any) -> None:
    """Issue 4: never a crash. The attributes are asked for every 30 s, for the metrics."""
    rig = Rig()
    sqs = Sqs(a_queue(1))
    function = Function(lasting(50.0))
    rig.mapping("orders", sqs, function)
    async with rig.running(100.0):
        await asyncio.sleep(5.0)
        sqs.attributes[name] = value
    assert not rig.of(Crashed), [each.error for each in rig.of(Crashed)]
    assert function.given["m00001"] == 1


@virtual
async def test_a_lane_that_crashed_leaves_no_bytes_in_the_memory() -> None:
    """memory_limit: what a lane held is free again when the lane is gone, however it went."""
    rig = Rig(memory_limit=100_000)
    bad, good = Sqs(a_queue(50)), Sqs(a_queue())

    def fault_of_the_engine(happening: Happening) -> None:
        if isinstance(happening, Invoked) and happening.mapping == "bad":
            raise LookupError("stands for any fault that ends a lane")

    rig.spoil = fault_of_the_engine
    function = Function(lasting(0.1))
    rig.mapping("bad", bad, Function(lasting(5.0)))
    rig.mapping("good", good, function, QueueOptions(batch_size=100, window=5.0))
    async with rig.running(20_000.0):
        await asyncio.sleep(19_000.0)
        for _ in range(100):
            good.queue.send()
    assert len(rig.of(Crashed, "bad")) > 20
    largest = max(len(ids) for _, ids in function.calls)
    assert largest > 50, f"batches of {largest}: the memory is full of what crashed lanes held"


# Answers of servers


@virtual
async def test_more_messages_than_asked_for_and_the_same_twice_in_a_page() -> None:
    """D24, slots: what comes is taken, once, and no more batches are sent than there are slots."""
    rig = Rig()
    sqs = Sqs(a_queue(40))

    def generous(answer: Answer) -> Answer:
        more = [sqs._message(message) for message in sqs.queue.receive(25)]
        return {"Messages": [*answer["Messages"], *more, *answer["Messages"]]}

    sqs.bend["receive"] = generous
    function = Function(lasting(1.0))
    rig.mapping("orders", sqs, function, QueueOptions(batch_size=5, concurrency=2))
    async with rig.running(60.0):
        pass
    assert set(function.given.values()) == {1}
    assert len(function.given) == 40
    assert all(len(ids) <= 5 for _, ids in function.calls)


UNHELPFUL: dict[str, Bend] = {
    "nothing": lambda _: {},
    "nulls": lambda _: {"Successful": None, "Failed": None},
    "unknown ids": lambda _: {"Successful": [{"Id": "99"}], "Failed": [{"Id": "x", "Code": "y"}]},
    "entries without an id": lambda _: {"Successful": [{}]},
    "text": lambda _: {"Successful": "0123456789"},
    "numbers as ids": lambda a: {"Successful": [{"Id": int(e["Id"])} for e in a["Successful"]]},
    "a failure without a code": lambda a: {"Failed": [{"Id": e["Id"]} for e in a["Successful"]]},
}


@pytest.mark.parametrize("what", UNHELPFUL)
@virtual
async def test_unhelpful_answers_to_deletes_are_told_and_end(what: str) -> None:
    """Issue 4: a delete that cannot succeed is counted and logged, never silently lost; a stop does not hang."""
    rig = Rig()
    sqs = Sqs(a_queue(12))
    sqs.bend["delete"] = UNHELPFUL[what]
    function = Function(lasting(0.1))
    rig.mapping("orders", sqs, function)
    async with rig.running(10.0):
        pass
    assert now() < 60.0
    assert not rig.of(Crashed)
    told = rig.of(Deleted)
    assert sum(each.records + len(each.undeleted) for each in told) == 12
    assert sum(len(each.undeleted) for each in told) == 12
    assert sqs.calls["delete"] < 60


@virtual
async def test_a_storm_of_server_errors_is_not_answered_with_a_storm_of_calls() -> None:
    """Issue 4: an unusable queue is retried with backoff, and recovers by itself."""
    rig = Rig()
    sqs = Sqs(a_queue(10))

    async def storm(_: Mapping[str, Any]) -> None:
        if now() < 300.0:
            raise failing("InternalFailure", 500)

    sqs.before["receive"] = storm
    function = Function(lasting(0.1))
    rig.mapping("orders", sqs, function)
    async with rig.running(420.0):
        await asyncio.sleep(299.0)
        assert sqs.calls["receive"] < 60
        assert rig.board.mapping("orders").last_processing_result.startswith("PROBLEM: ServiceError")  # type: ignore[union-attr]
    assert len(function.given) == 10


@virtual
async def test_a_receive_that_hangs_stops_neither_the_others_nor_the_stop() -> None:
    """Stop: at the end of the grace what hangs is cancelled, and what is held is told."""
    rig = Rig(grace=45.0)
    sqs = Sqs(a_queue(1))
    first = True

    async def hang(_: Mapping[str, Any]) -> None:
        nonlocal first
        if not first:
            await asyncio.sleep(10_000.0)
        first = False

    sqs.before["receive"] = hang
    function = Function(lasting(1.0))
    rig.mapping("orders", sqs, function)
    async with rig.running(10.0):
        pass
    assert now() <= 56.0
    assert function.given == {"m00001": 1}
    assert not sqs.queue.messages


@virtual
async def test_fifo_order_and_groups_survive_odd_names() -> None:
    """FIFO: any text is a group of its own, and order holds inside it."""
    rig = Rig()
    sqs = Sqs(a_queue(group=""))
    groups = ["a b", "\u0000", "é", "e\u0301", "0", "None", "null", "x" * 128, "*", "'; --"]
    sent: dict[str, list[str]] = {group: [] for group in groups}
    for _ in range(5):
        for group in groups:
            sent[group].append(sqs.queue.send(group))

    function = Function(lasting(0.3))
    rig.mapping("orders", sqs, function, QueueOptions(batch_size=3))
    async with rig.running(60.0):
        pass
    order = [id_ for _, ids in function.calls for id_ in ids]
    for group in groups:
        assert [id_ for id_ in order if id_ in sent[group]] == sent[group]


class Moody(Sqs):
    """Fails every third entry of a delete; notes when a group had more deleted while a failed one had to wait."""

    def __init__(self, queue: FakeQueue) -> None:
        super().__init__(queue, latency=0.2)  # so that deletes of many batches share calls, and are cut by them
        self.failed: dict[str, str] = {}  # receipt -> group
        self.retries = 0
        self.overtaken: list[list[str]] = []
        self._entries_seen = 0

    async def _delete(self, arguments: Mapping[str, Any]) -> Answer:
        groups = {message.receipt: message.group or "" for message in self.queue.messages.values()}
        receipts = [entry["ReceiptHandle"] for entry in arguments["Entries"]]
        again = {self.failed[receipt] for receipt in receipts if receipt in self.failed}
        self.retries += len(again)
        waiting = set(self.failed.values())
        if any(groups[receipt] in waiting and receipt not in self.failed for receipt in receipts):
            self.overtaken.append(receipts)
        moody = []
        for entry in arguments["Entries"]:
            self.failed.pop(entry["ReceiptHandle"], None)
            self._entries_seen += 1
            if self._entries_seen % 3 == 1:
                moody.append(entry)
                self.failed[entry["ReceiptHandle"]] = groups[entry["ReceiptHandle"]]
        good = [entry for entry in arguments["Entries"] if entry not in moody]
        answer = await super()._delete({**arguments, "Entries": good})
        failed = [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in moody]
        return {**answer, "Failed": [*answer["Failed"], *failed]}


@virtual
async def test_a_failed_delete_is_tried_again_before_anything_behind_it_in_its_group() -> None:
    """FIFO: deletes go in order, and an entry may fail whose followers in the same call succeed."""
    rig = Rig()
    sqs = Moody(a_queue(group=""))
    for number in range(700):
        sqs.queue.send(f"g{number // 7 % 20}")
    function = Function(lasting(0.01))
    rig.mapping("orders", sqs, function, QueueOptions(batch_size=7))
    async with rig.running(300.0):
        pass
    assert sqs.retries > 50, "the test saw no retries"
    assert not sqs.overtaken
    assert not sqs.queue.messages
    assert set(function.given.values()) == {1}


@virtual
async def test_what_overtakes_a_message_that_cannot_be_deleted_is_told() -> None:
    """FIFO: the first of four is refused for good when the others are deleted already."""
    rig = Rig()
    sqs = Sqs(a_queue(4, group="g"))

    async def lost(_: Mapping[str, Any]) -> None:
        sqs.queue.messages["m00001-g"].receives = 7  # received by another: our receipt is stale

    sqs.before["delete"] = lost
    rig.mapping("orders", sqs, Function(lasting(0.1)))
    async with rig.running(5.0):
        pass
    (told,) = rig.of(Deleted)
    assert (list(told.undeleted), list(told.overtook)) == (["m00001-g"], ["m00002-g", "m00003-g", "m00004-g"])


@virtual
async def test_d24_a_message_twice_in_a_page_is_extended_once() -> None:
    """D24: not a second message, so a heartbeat names it once; AWS refuses a batch with an entry twice."""
    rig = Rig()
    sqs = Sqs(a_queue(2))

    def twice(answer: Answer) -> Answer:
        return {"Messages": [*answer["Messages"], *answer["Messages"]]}

    lots: list[list[str]] = []

    async def note(arguments: Mapping[str, Any]) -> None:
        lots.append([entry["ReceiptHandle"] for entry in arguments["Entries"]])

    sqs.bend["receive"], sqs.before["change"] = twice, note
    function = Function(lasting(50.0))
    rig.mapping("orders", sqs, function)
    async with rig.running(60.0):
        pass
    assert lots
    assert all(len(set(lot)) == len(lot) for lot in lots), lots


# Answers of functions


@virtual
async def test_no_error_text_of_a_function_breaks_the_status_of_everybody() -> None:
    """Issue 6: /status is JSON; a function may put anything into its error, half a surrogate pair too."""
    body = b'{"errorType": "E", "errorMessage": "\\ud800 is no letter"}'
    reply = reply_to(Answered(500, {}, body), refused=(), timeout=1.0, now=0.0)
    assert isinstance(reply, Errored)
    for refusal in (reply, Refused(Outcome.UNREACHABLE, "\udfff")):
        rig = Rig()
        sqs = Sqs(a_queue(1))
        rig.mapping("orders", sqs, Function(lasting(0.1, refusal)))
        async with rig.running(now() + 5.0):
            await asyncio.sleep(4.0)
            msgspec.json.encode(status_document("1", 1.0, rig.board.mappings()))


ANSWERS = [
    b'{"batchItemFailures":[{"itemIdentifier":"\\ud800"}]}',
    b'{"batchItemFailures":[{"itemIdentifier":{"a":"m00001"}}]}',
    b'{"batchItemFailures":{"itemIdentifier":"m00001"}}',
    b'{"batchItemFailures":"m00001"}',
    b'{"batchItemFailures":0}',
    b'{"batchItemFailures":false}',
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"batchItemFailures":[' + b"[" * 50_000,
    b'{"a":' + b"9" * 100_000 + b"}",
    b"NaN",
    b"{}{}",
    b" ",
    b"\x00",
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: repr(answer[:40]))
@virtual
async def test_no_answer_of_a_function_crashes_a_lane_or_deletes_by_mistake(answer: bytes) -> None:
    """Spec 3.1 and 3.5: what is no valid partial response is a failure of all."""
    rig = Rig()
    sqs = Sqs(a_queue(2))
    function = Function(lasting(0.1, Returned(answer)))
    rig.mapping("orders", sqs, function, QueueOptions(reports_failures=True))
    async with rig.running(5.0):
        pass
    assert not rig.of(Crashed)
    assert len(sqs.queue.messages) == 2, "deleted"


@virtual
async def test_a_listed_identifier_in_any_case_or_with_blanks_is_another() -> None:
    """Spec 3.5: identifiers are compared exactly; one unknown among known ones fails all (D4)."""
    for stranger in ("M00001", " m00001", "m00001\n", "m0000\uff11"):
        rig = Rig()
        sqs = Sqs(a_queue(2))
        failures = [{"itemIdentifier": "m00002"}, {"itemIdentifier": stranger}]
        function = Function(lasting(0.1, Returned(json.dumps({"batchItemFailures": failures}).encode())))
        rig.mapping("orders", sqs, function, QueueOptions(reports_failures=True))
        async with rig.running(now() + 5.0):
            pass
        assert len(sqs.queue.messages) == 2
