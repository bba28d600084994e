"""Our part of a consumer group: which partitions are ours, each opened as a lane, in the event loop.

Sets of lanes are handed on one after the other, and none is left out: a lane that was lost and came back is not in
the one between. A partition that is taken away is let go when the set without it has been applied.
"""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from esm.checkpoint import Position
from esm.clients.kafka import problem_of
from esm.errors import Disconnected, LostLease
from esm.model import Absence, Lane, Rebalance, RebalanceKind, Remark
from esm.sources.kafka.commits import Asked, Unanswered
from esm.sources.kafka.event import Encoder, Envelope, lane_name, partition_of
from esm.sources.kafka.feed import Feed, Parcel
from esm.sources.kafka.poller import Poller
from esm.sources.kafka.readings import Reading, Tell
from esm.sources.kafka.rows import GroupRows, lanes_of
from esm.world import World

_OPENING = 30.0
_LEAVING = 15.0


class _Going(NamedTuple):
    """Lanes that left with the set of that number; `gone` is to be called once they are drained."""

    lanes: frozenset[str]
    told: int
    gone: Callable[[], None]


class GroupMembership:
    """A `Membership`, and the `Listener` of a poller. `rows` and the poller are given once there is one.

    `patience`: seconds that a commit may take. It is shorter than a session of the group, so that what cannot be
    committed any more is not gone on with either when the group gives it to others.
    """

    def __init__(self, envelope: Envelope, world: World, tell: Tell, *, patience: float) -> None:
        self._envelope = envelope
        self._patience = patience
        self._world = world
        self.tell = tell
        self._ours: frozenset[str] = frozenset()
        self._sets: deque[frozenset[str]] = deque()
        self._told = self._applied = 0
        self._is_followed = False
        self._bell = asyncio.Event()
        self._problem: Exception | None = None
        self._is_over = False
        self._readers: Counter[str] = Counter()
        self._going: list[_Going] = []
        self._news: Callable[[Rebalance | Remark | Absence], None] = _unheard
        self.poller: Poller
        self.rows: GroupRows

    # The port

    async def lanes(self) -> AsyncIterator[Collection[Lane]]:
        """Raises `Disconnected`."""
        self._is_followed = True
        try:
            while True:
                while not self._sets:
                    if self._problem is not None:
                        raise self._problem
                    if self._is_over:
                        return
                    await self._changed()
                yield [Lane(name) for name in sorted(self._sets.popleft())]
                self._applied += 1
                self._release()
        finally:
            self._is_followed = False
            self._release()

    @asynccontextmanager
    async def open(self, lane: Lane, after: Position | None) -> AsyncIterator[Feed]:
        """Raises `Disconnected`, `LostLease`."""
        self._check_ours(lane.name)
        number = partition_of(lane.name)
        feed = Feed(lane.name, self._world, self.poller.wake)
        feed.blame(lambda: self.poller.trouble)
        place = TopicPartition(self._envelope.topic, number)
        reading = Reading(feed, Encoder(self._envelope, number), place, 0 if after is None else after + 1)
        if lane.name in self.rows.made_anew:
            self.rows.made_anew.remove(lane.name)
            feed.put(Parcel(lost=None))
        self._readers[lane.name] += 1
        try:
            await self._ordered(partial(self._open, lane.name, reading))
            yield feed
        finally:
            self.poller.order(lambda consumer: self.poller.readings.shut(consumer, number, feed))
            self._readers[lane.name] -= 1
            self._release()

    async def commit(self, place: TopicPartition) -> None:
        """Durable when it returns. Raises `Unanswered`, `StoreFailed`, `LostLease`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.poller.commits.ask(Asked(place, partial(self.tell, _settle, future)))
        self.poller.wake()
        try:
            async with asyncio.timeout(self._patience):
                await future
        except TimeoutError:
            raise Unanswered(f"the coordinator did not answer within {self._patience:g} s") from None

    def listen(self, tell: Callable[[Rebalance | Remark | Absence], None]) -> None:
        """From now on `tell` is told what the group does."""
        self._news = tell

    def remark(self, text: str) -> None:
        """Something for people to know."""
        self._news(Remark(text))

    @property
    def has_lanes(self) -> bool:
        """Some partitions are ours."""
        return bool(self._ours)

    def tell_absence(self, problem: Disconnected | None, pause: float) -> None:
        """That none is ours, and why the group cannot be reached if so; asked again after `pause` seconds."""
        self._news(Absence() if problem is None else Absence(problem.code, problem.reason, pause))

    # Who we are has changed

    @property
    def trouble(self) -> Disconnected | None:
        """Why nothing comes from the brokers."""
        return self.poller.trouble

    def order(self, what: Callable[[Consumer], None]) -> None:
        """Has something done with the consumer, soon."""
        self.poller.order(what)

    def join_anew(self) -> None:
        """The lanes end, and whoever follows them joins again."""
        self.remark("who we are has changed: the group is left, and joined anew")
        self._is_over = True
        self._bell.set()

    # The listener

    def assigned(self, partitions: Collection[int]) -> None:
        """They are ours from now on."""
        lanes = lanes_of(self._envelope.topic, partitions)
        self.rows.gained(lanes)
        self._become(self._ours | lanes, RebalanceKind.ASSIGNED, lanes)

    def leaving(self, partitions: Collection[int], gone: Callable[[], None]) -> None:
        """They are about to be taken away."""
        lanes = lanes_of(self._envelope.topic, partitions)
        self._become(self._ours - lanes, RebalanceKind.REVOKED, lanes)
        self._going.append(_Going(lanes, self._told, gone))
        self._release()

    def lost(self, partitions: Collection[int]) -> None:
        """They are not ours any more."""
        lanes = lanes_of(self._envelope.topic, partitions)
        self.rows.left(lanes)
        self._become(self._ours - lanes, RebalanceKind.LOST, lanes)

    def failed(self, problem: Exception) -> None:
        """The group has to be joined anew."""
        self._problem = self._problem or problem
        self._bell.set()

    def strayed(self, partition: int, oldest: int) -> None:
        """It was made anew."""
        name = lane_name(self._envelope.topic, partition)
        if name in self._ours:
            self.rows.begin_anew(name, oldest)
            self._hand_on(self._ours - {name})
            self._hand_on(self._ours)

    # Inside

    def _open(self, name: str, reading: Reading, consumer: Consumer) -> None:
        """In the thread."""
        if not self.poller.is_ours(reading.place.partition):
            raise LostLease(f"{name} is not ours any more")
        self.poller.readings.open(consumer, reading)

    async def _ordered(self, what: Callable[[Consumer], None]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def act(consumer: Consumer) -> None:
            try:
                what(consumer)
            except Exception as error:  # noqa: BLE001 -- it is raised where it was asked for
                self.tell(_settle, future, error)
            else:
                self.tell(_settle, future, None)

        self.poller.order(act)
        try:
            async with asyncio.timeout(_OPENING):
                await future
        except KafkaException as raised:
            raise problem_of(raised.args[0]) from None
        except TimeoutError:
            raise Disconnected("unreachable", f"nothing was heard for {_OPENING:g} s") from None

    def _check_ours(self, lane: str) -> None:
        if lane not in self._ours:
            raise LostLease(f"{lane} is not ours any more")

    def _become(self, ours: frozenset[str], kind: RebalanceKind, lanes: Collection[str]) -> None:
        self._ours = ours
        self._hand_on(ours)
        if lanes:
            self._news(Rebalance(kind, tuple(sorted(lanes)), len(ours)))

    def _hand_on(self, lanes: frozenset[str]) -> None:
        self._sets.append(lanes)
        self._told += 1
        self._bell.set()

    def _release(self) -> None:
        """Lets those go that have left an applied set; at the end, when none is asked for, those nobody reads.

        One that was slower than the thread's patience may be ours again by then.
        """
        for going in tuple(self._going):
            is_read = any(self._readers[lane] for lane in going.lanes)
            if self._applied >= going.told or not (self._is_followed or is_read):
                self._going.remove(going)
                self.rows.left(going.lanes - self._ours)
                going.gone()
                self.poller.wake()

    async def _changed(self) -> None:
        self._bell.clear()
        await self._bell.wait()


@asynccontextmanager
async def running(poller: Poller, tell: Tell) -> AsyncIterator[None]:
    """The poller's thread. At the end the group is left; a client that takes too long over it is left alone."""
    over = asyncio.Event()

    def run() -> None:
        try:
            poller.run()
        finally:
            tell(over.set)

    threading.Thread(target=run, name="kafka", daemon=True).start()
    try:
        yield
    finally:
        poller.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING):
                await over.wait()


def tell_in(loop: asyncio.AbstractEventLoop) -> Tell:
    """Calls something in the loop from a thread; a loop that is gone has nobody in it who wants to know."""

    def tell(what: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(what, *args)

    return tell


def _unheard(_: Rebalance | Remark | Absence) -> None:
    """Nobody listens yet."""


def _settle(future: "asyncio.Future[None]", error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(None)
