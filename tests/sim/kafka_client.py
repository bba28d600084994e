"""A consumer as librdkafka's, over a `FakeGroup`: it calls back only while it is polled, in the thread that polls.

Rebalances are served in a poll, and what a poll returns may be of a partition that is not ours any more.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from esm.sources.kafka.event import lane_name, partition_of
from esm.testing.faults import Faults
from esm.testing.group.fake import HEARTBEAT, FakeGroup, FakeMember, Fenced, Position
from sim.turns import Turns

TOPIC = "t"
_REFUSALS = (
    KafkaError.REBALANCE_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.ILLEGAL_GENERATION,
)  # fmt: skip


class Client(FakeMember):
    """A member that gives partitions back when its consumer has called back."""

    __slots__ = ()

    async def gives_up(self, lanes: Any, within: float) -> bool:
        self.leaving.update(lane for lane in lanes if lane in self.held)
        self.wake()
        try:
            async with asyncio.timeout(within):
                while any(lane in self.held for lane in lanes):
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True


class GroupConsumer:
    """What a `Poller` calls. `numbers` are those under which each set of partitions was assigned."""

    def __init__(
        self, member: Client, group: FakeGroup, faults: Faults, turns: Turns, callbacks: Mapping[str, Any]
    ) -> None:
        self.numbers: deque[dict[str, int]] = deque()
        self._member = member
        self._group = group
        self._faults = faults
        self._turns = turns
        self._callbacks = callbacks
        self._listening: Mapping[str, Any] = {}
        self._delivered: dict[str, int] = {}
        self._generation = 0
        self._is_closed = self._is_out = False
        self._at: dict[str, int] = {}
        self._ends: dict[str, int] = {}

    # Its group

    def subscribe(self, _: list[str], **listening: Any) -> None:
        self._listening = listening
        self._group.admit(self._member)
        self._turns.later(HEARTBEAT, self._beats)

    def _beats(self) -> None:
        """In a thread of the library's own, whatever ours does."""
        if self._turns.killed or self._is_closed:
            return
        if self._turns.process.runs:
            try:
                self._group.beat(self._member)
            except Fenced:
                self._is_out = True
                self._member.lose_all()
        self._turns.later(HEARTBEAT, self._beats)

    def close(self) -> None:
        """Gives everything back, unless the whole process is gone."""
        if self._turns.killed:
            return
        if self._delivered:
            self._call_back("on_revoke", list(self._delivered))
        self._is_closed = True
        self._generation += 1
        self._delivered.clear()
        self._member.lose_all()
        self._group.dismiss(self._member, clean=True)

    def _serve(self) -> None:
        """What a poll does besides."""
        held, leaving = self._member.held, self._member.leaving
        if lost := [lane for lane, number in self._delivered.items() if held.get(lane) != number]:
            self._taken(lost)
            self._call_back("on_lost", lost)
        if self._is_out:
            self._is_out = False
            self._generation += 1
            self._group.admit(self._member)
        if going := [lane for lane in self._delivered if lane in leaving]:
            numbers = {lane: self._delivered[lane] for lane in going}
            self._call_back("on_revoke", going)
            self._taken(going)
            for lane in going:
                if held.get(lane) == numbers[lane]:
                    del held[lane]
                    leaving.discard(lane)
        for lane in [lane for lane in leaving if lane not in self._delivered]:
            leaving.discard(lane)
            held.pop(lane, None)
        self._member.wake()
        if new := {lane: number for lane, number in held.items() if lane not in self._delivered}:
            self._generation += 1
            self._delivered |= new
            self.numbers.append(new)
            self._call_back("on_assign", list(new))

    def _taken(self, lanes: list[str]) -> None:
        self._generation += 1
        for lane in lanes:
            self._delivered.pop(lane, None)

    def _call_back(self, kind: str, lanes: list[str]) -> None:
        self._listening[kind](self, [TopicPartition(TOPIC, partition_of(lane)) for lane in lanes])

    # Reading

    def poll(self, timeout: float) -> Message | None:
        self._serve()
        if (found := self._next()) is None and timeout:
            self._turns.pause(timeout * self._faults.chance.random())
            self._serve()
            found = self._next()
        return found

    def consume(self, count: int, _: float) -> list[Message]:
        most = min(count, self._faults.chance.choice([0, 3, 50]))
        found: list[Message] = []
        while len(found) < most and (message := self._next()) is not None:
            found.append(message)
        return found

    def incremental_assign(self, places: list[TopicPartition]) -> None:
        self._turns.interrupted()
        if places and self._faults.hit("open fails"):
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        for place in places:
            self._at[lane_name(TOPIC, place.partition)] = place.offset

    def incremental_unassign(self, places: list[TopicPartition]) -> None:
        for place in places:
            lane = lane_name(TOPIC, place.partition)
            del self._at[lane]
            self._ends.pop(lane, None)
        self._turns.interrupted()

    def pause(self, _: list[TopicPartition]) -> None:
        """What is queued here is never that much."""

    resume = pause

    def list_topics(self, _: str, *, timeout: float) -> None:
        """Says whether a broker is there."""
        self._turns.pause(timeout * self._faults.chance.random())
        if self._faults.hit("read fails"):
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def get_watermark_offsets(self, place: TopicPartition, **_: Any) -> tuple[int, int]:
        lane = lane_name(TOPIC, place.partition)
        return oldest(self._group, lane), self._group.end(lane)

    def _next(self) -> Message | None:
        if self._at and self._faults.hit("read fails"):
            self._callbacks["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
            return None
        lanes = list(self._at)
        self._faults.chance.shuffle(lanes)
        return next((message for lane in lanes if (message := self._of(lane)) is not None), None)

    def _of(self, lane: str) -> Message | None:
        at, number = self._at[lane], partition_of(lane)
        if self._ends.get(lane) == -1:
            return None
        if at < oldest(self._group, lane):
            self._ends[lane] = -1
            return _message(number, at, error=KafkaError._AUTO_OFFSET_RESET)
        shard = self._group.shards[lane]
        entry = next((each for each in shard.entries[shard.trimmed :] if each.position >= at), None)
        if entry is not None:
            self._at[lane] = entry.position + 1
            return _message(number, entry.position, key=entry.key, value=entry.id, time=entry.arrived)
        if self._ends.get(lane) == at:
            return None
        self._ends[lane] = at
        return _message(number, at, error=KafkaError._PARTITION_EOF)

    # Committing

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> Sequence[TopicPartition]:
        """One that is only sent arrives when it will, as if it were ours of then."""
        faults = self._faults
        if asynchronous:
            self._turns.later(faults.chance.uniform(0.001, 3.0), lambda: self._judged(self._generation, offsets))
            return ()
        if faults.hit("commit unanswered"):
            self._turns.pause(faults.chance.uniform(1.0, 50.0))
            raise KafkaException(KafkaError(KafkaError._WAIT_COORD))
        self._turns.pause(faults.chance.uniform(0.001, 3.0 if faults.hit("slow call") else 0.05))
        if (code := self._judged(self._generation, offsets)) is not None:
            raise KafkaException(KafkaError(code))
        return offsets

    def _judged(self, generation: int, places: list[TopicPartition]) -> int | None:
        """By the coordinator: the code of its refusal."""
        if self._group.is_away:
            return KafkaError.COORDINATOR_NOT_AVAILABLE
        if self._faults.hit("commit refused"):
            return self._faults.chance.choice(_REFUSALS)
        if generation != self._generation:
            return KafkaError.ILLEGAL_GENERATION
        try:
            for place in places:
                lane = lane_name(TOPIC, place.partition)
                self._group.commit(self._member, lane, Position(place.offset, place.metadata or ""))
        except Fenced:
            return KafkaError.UNKNOWN_MEMBER_ID
        return KafkaError._TIMED_OUT if self._faults.hit("commit answer lost") else None


def oldest(group: FakeGroup, lane: str) -> int:
    """The offset of the first record that is kept, or of the next."""
    shard = group.shards[lane]
    left = shard.entries[shard.trimmed :]
    if not shard.trimmed:
        return 0
    return left[0].position if left else group.end(lane)


def _message(
    partition: int, offset: int, *, error: int | None = None, key: str = "", value: str = "", time: float = 0.0
) -> Message:
    return Message(
        topic=TOPIC,
        partition=partition,
        offset=offset,
        key=key.encode(),
        value=value.encode(),
        timestamp=(1, round(1000 * time)),
        error=None if error is None else KafkaError(error),
    )
