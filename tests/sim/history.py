"""One seeded history of a queue mapping on virtual time, and the oracle that judges it from outside.

The real engine runs against a fake queue and a scripted function. The seed picks the queue, the options, what
goes wrong and when; the oracle sees only what the queue accepted and deleted and what the function was given.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from esm.core.filtering import SQS, FilterSet
from esm.model import Errored, Invocation, Outcome, Refused, Reply, Returned
from esm.runtime.engine import Engine
from esm.runtime.happenings import CircuitOpened, Happening
from esm.runtime.plan import EnginePlan, QueueOptions, QueuePlan, TargetPlan
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.testing.faults import Faults
from esm.testing.queue.fake import FakeQueue, FakeSource

EPOCH = 1_700_000_000.0
FOREVER = 5 * 24 * 3600.0
DIGITS = "0123456789"


class Violation(BaseException):
    """Something that must always be true was not. No Exception, so that no barrier of the engine swallows it."""


def must(truth: object, otherwise: str) -> None:
    """Raises `Violation` unless `truth`."""
    if not truth:
        raise Violation(otherwise)


@dataclass(slots=True)
class Oracle:
    """What must be true, checked while it happens and at the end."""

    queue: FakeQueue
    most: int
    passing: str = DIGITS
    succeeded: set[str] = field(default_factory=set)
    invoked: Counter[str] = field(default_factory=Counter)
    active: Counter[str] = field(default_factory=Counter)
    batches: int = 0

    def starts(self, ids: list[str]) -> None:
        self.batches += 1
        must(self.batches <= self.most, "more batches at the target than there are slots")
        must(len(set(ids)) == len(ids), "a batch holds a message twice")
        for id_ in ids:
            must(self.passes(id_), f"{id_} was sent although no filter lets it pass")
            self.invoked[id_] += 1
            self.active[id_] += 1
            must(self.active[id_] == 1, f"{id_} is at the target twice at the same time")
        if self.queue.ordered:
            self._in_order(ids)

    def ends(self, ids: list[str], succeeded: set[str]) -> None:
        self.batches -= 1
        for id_ in ids:
            self.active[id_] -= 1
        self.succeeded |= succeeded

    def passes(self, id_: str) -> bool:
        """Whether the filters let a message pass: told from its id, without any filter."""
        return id_[5] in self.passing

    def _in_order(self, ids: list[str]) -> None:
        """Nothing overtakes: whatever was sent earlier to the group is done, dead, or earlier in this batch."""
        before: set[str] = set()
        for id_ in ids:
            group = id_.partition("-")[2]
            for other, message in self.queue.messages.items():
                if message.group == group and other < id_ and self.passes(other):
                    must(other in self.succeeded or other in before, f"{id_} overtook {other}")
            before.add(id_)

    def at_the_end(self, sent: list[str]) -> None:
        must(not self.queue.messages, f"still there: {list(self.queue.messages)}")
        must(sorted(self.queue.deleted + self.queue.dead) == sorted(sent), "lost or made up")
        never = set(filter(self.passes, self.queue.deleted)) - self.succeeded
        must(not never, f"deleted although the function never succeeded: {never}")
        must(self.batches == 0, "a batch never ended")


class Function:
    """The target: a function that fails, hangs, throttles and answers nonsense by a seeded chance."""

    def __init__(self, oracle: Oracle, faults: Faults, *, reports_failures: bool) -> None:
        self._oracle = oracle
        self._faults = faults
        self._reports = reports_failures
        self._up_at = 0.0

    async def invoke(self, call: Invocation) -> Reply:
        ids: list[str] = json.loads(call.payload)
        if refused := await self._refuses():
            return refused
        if self._down():
            return Refused(Outcome.UNREACHABLE, "scripted outage")
        self._oracle.starts(ids)
        failed = {id_ for id_ in ids if self._faults.hit("record fails")}
        succeeded: set[str] = set()
        try:
            await asyncio.sleep(
                self._faults.chance.uniform(0.0, 200.0 if self._faults.hit("slow function") else 0.5)
            )
            reply = self._answer(ids, failed)
            if isinstance(reply, Returned):
                succeeded = set(ids) - failed if reply.payload != b"nonsense" else set()
            return reply
        finally:
            self._oracle.ends(ids, succeeded)

    async def _refuses(self) -> Refused | None:
        for kind, outcome in (
            ("throttled", Outcome.THROTTLED),
            ("unreachable", Outcome.UNREACHABLE),
            ("misconfigured", Outcome.MISCONFIGURED),
        ):
            if self._faults.hit(kind):
                await asyncio.sleep(0.001)
                return Refused(outcome, "scripted", 2.0 if self._faults.hit("retry after") else None)
        return None

    def _down(self) -> bool:
        """One outage, which lasts: only that opens the circuit."""
        now = asyncio.get_running_loop().time()
        if not self._up_at and self._faults.hit("outage"):
            self._up_at = now + self._faults.chance.choice([30.0, 300.0, 3_000.0])
        return now < self._up_at

    def _answer(self, ids: list[str], failed: set[str]) -> Reply:
        if self._faults.hit("function error"):
            return Errored(Outcome.FUNCTION_ERROR, "scripted")
        if self._faults.hit("timeout"):
            return Errored(Outcome.TIMEOUT, "scripted")
        if not failed:
            return Returned(b"nonsense" if self._reports and self._faults.hit("nonsense") else b"{}")
        if not self._reports:
            return Errored(Outcome.FUNCTION_ERROR, "a record failed")
        return Returned(
            json.dumps({"batchItemFailures": [{"itemIdentifier": id_} for id_ in ids if id_ in failed]}).encode()
        )


class Spaced:
    """A pace on virtual time: so many seconds between two calls."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    async def turn(self) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, self._next - now))
        self._next = max(self._next, now) + self._seconds


class History:
    """Everything one seed decides; `faults` names the kinds that may happen in it."""

    def __init__(self, seed: int, faults: Sequence[str] = (), *, ordered: bool | None = None) -> None:
        chance = random.Random(seed)
        self.chance = chance
        now = asyncio.get_running_loop().time
        self.now = now
        ordered = chance.random() < 0.5 if ordered is None else ordered
        rates = {kind: chance.choice([0.0, 0.02, 0.15]) for kind in faults or FAULTS}
        if ordered:
            rates["duplicate"] = 0.0
        self.faults = Faults(chance, dict(rates))
        self.queue = FakeQueue(
            now,
            epoch=EPOCH,
            ordered=ordered,
            visibility=chance.choice([2.0, 30.0, 300.0]),
            max_receives=chance.choice([None, 3, 10]),
        )
        size = chance.choice([1, 3, 10]) if ordered else chance.choice([1, 10, 50])
        self.options = QueueOptions(
            batch_size=size,
            window=0.0
            if size <= 10 and chance.random() < 0.5
            else (0.0 if ordered else chance.choice([1.0, 20.0])),
            reports_failures=chance.random() < 0.6,
            whole_groups=ordered and chance.random() < 0.5,
            concurrency=chance.choice([1, 2, 5, 20]),
            max_hold=chance.choice([60.0, 3600.0]),
        )
        self.cap = chance.choice([None, 1, 3])
        self.cap_of_engine = chance.choice([None, 1, 2])
        self.per_second = chance.choice([None, 0.2, 5.0])
        most = min(self.options.concurrency, self.cap or 10**6, self.cap_of_engine or 10**6)
        passing = _passing(random.Random(-1 - seed))
        self.filters = None if passing == DIGITS else _filters(passing)
        self.oracle = Oracle(self.queue, most, passing)
        self.memory_limit = chance.choice([100, 10**6])
        self.happened: list[Happening] = []
        self.sent: list[str] = []
        self.produced = False

    def engine(self) -> Engine:
        world = World(
            monotonic=self.now,
            wall=lambda: EPOCH + self.now(),
            chance=self.chance.random,
            new_id=lambda: f"{self.chance.getrandbits(64):016x}",
            tell=self._tell,
        )
        function = Function(self.oracle, self.faults, reports_failures=self.options.reports_failures)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Function]:
            yield function

        pace = Spaced(1 / self.per_second) if self.per_second else None
        plan = EnginePlan(
            mappings={
                "orders": QueuePlan(
                    "orders", "id", True, FakeSource(self.queue, self.faults), "fn", self.options, self.filters
                )
            },
            targets={"fn": TargetPlan("fn", opened, self.cap, pace)},
            memory_limit=self.memory_limit,
            maximum_concurrency=self.cap_of_engine,
        )
        return Engine(plan, StatusBoard(world.wall), world, grace=45.0)

    def _tell(self, happening: Happening) -> None:
        self.happened.append(happening)
        if isinstance(happening, CircuitOpened):
            self.faults.fired["circuit opened"] += 1

    async def produce(self) -> None:
        groups = [f"g{n}" for n in range(self.chance.choice([1, 3, 20]))]
        for _ in range(self.chance.choice([10, 60, 150])):
            group = self.chance.choice(groups) if self.queue.ordered else None
            self.sent.append(self.queue.send(group))
            if self.chance.random() < 0.1:
                await asyncio.sleep(self.chance.choice([0.01, 1.0, 30.0]))
        self.produced = True

    async def play(self, sessions: Sequence[int] = (0, 1, 3)) -> None:
        """Produces, runs the engine through stops and crashes, then until the queue is empty."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.produce())
            for _ in range(self.chance.choice(sessions)):
                await self._session(tasks, self.chance.uniform(0.1, 200.0))
            last = self.engine()
            running = tasks.create_task(last.run())
            await self._emptied()
            last.stop.set()
            await running
        self.oracle.at_the_end(self.sent)

    async def _session(self, tasks: asyncio.TaskGroup, seconds: float) -> None:
        engine = self.engine()
        running = tasks.create_task(engine.run())
        await asyncio.sleep(seconds)
        if self.chance.random() < 0.5:
            self.faults.fired["crash"] += 1
            running.cancel()
            await asyncio.wait([running])
        else:
            self.faults.fired["stop"] += 1
            engine.stop.set()
            await running

    async def _emptied(self) -> None:
        start = self.now()
        while self.queue.messages or not self.produced:
            await asyncio.sleep(5.0)
            must(self.now() - start < FOREVER, f"never done: {list(self.queue.messages)[:5]}")


def _passing(chance: random.Random) -> str:
    """The last digits of the numbers of the messages that pass. Drawn apart, so that seeds stay what they were."""
    return DIGITS if chance.random() < 0.5 else "".join(chance.sample(DIGITS, chance.choice([0, 1, 5, 9])))


def _filters(passing: str) -> FilterSet:
    """Two patterns, each for some of the digits; either may match nothing."""
    whole, prefixes = [*passing[::2], "none"], [{"prefix": digit} for digit in (*passing[1::2], "none")]
    return FilterSet([json.dumps({"body": {"digit": digits}}) for digits in (whole, prefixes)], SQS)


NEUTRAL = (
    "read fails", "over limit", "slow call", "throttled", "unreachable", "misconfigured", "retry after",
    "slow function", "outage",
)  # fmt: skip
"""Faults that must cost nothing: after them no message has been received twice."""

LEAKY = {"extension fails": 0.9, "slow function": 0.3, "record fails": 0.15, "function error": 0.1}
"""Rates under which messages slip out of our hands while the function still works on them."""

FAULTS = (
    "read fails", "answer lost", "over limit", "slow call", "duplicate", "delete fails", "give back fails",
    "extension fails", "open fails", "throttled", "unreachable", "misconfigured", "retry after", "function error",
    "timeout", "nonsense", "record fails", "slow function", "outage",
)  # fmt: skip
