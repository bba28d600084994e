"""The one thread that a mapping's consumer lives in (docs/decisions/0034-one-consumer-one-thread.md).

Every call of the consumer is made here: the client library lets one thread in at a time, and a poll may wait. The
thread never waits for the event loop but in a rebalance, and there no longer than `patience`.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from esm.clients.kafka import OF_ONE_BROKER, is_fatal, is_lasting, problem_of
from esm.errors import Disconnected, StoreFailed
from esm.sources.kafka.commits import Commits
from esm.sources.kafka.readings import Readings, Tell
from esm.world import World

_AT_ONCE = 1_000
_BUSY, _IDLE = 0.01, 0.1
_CALM = 2.0
_LOOK_EVERY, _LOOK = 2.0, 0.5
_SILENT_COORDINATOR = Disconnected("unreachable", "the coordinator of the group does not answer a commit")


class Listener(Protocol):
    """Who is told, in the event loop, what the consumer finds out."""

    def assigned(self, partitions: Collection[int]) -> None:
        """They are ours from now on."""

    def leaving(self, partitions: Collection[int], gone: Callable[[], None]) -> None:
        """They are about to be taken away; `gone` is to be called when nothing more will be committed of them."""

    def lost(self, partitions: Collection[int]) -> None:
        """They are not ours any more, and may not have been for a while."""

    def failed(self, problem: Exception) -> None:
        """Nothing can go on as it is."""

    def strayed(self, partition: int, oldest: int) -> None:
        """The position is beyond the end: the partition was made anew, and begins at `oldest`."""


class Poller:
    """`make` gives a consumer with these callbacks; `tell` calls something in the event loop."""

    def __init__(
        self,
        make: Callable[[Mapping[str, Any]], Consumer],
        topic: str,
        listener: Listener,
        tell: Tell,
        world: World,
        *,
        patience: float,
    ) -> None:
        self._make = make
        self._topic = topic
        self._listener = listener
        self._tell = tell
        self._world = world
        self._patience = patience
        self._orders: deque[Callable[[Consumer], None]] = deque()
        self._wakeup = threading.Event()
        self._owned: set[int] = set()
        self._closing = False
        self._polled = self._last_busy = self._looked = float("-inf")
        self._is_cut_off = False
        self.readings = Readings(tell, world)
        self.commits = Commits(self._owned, world.monotonic)
        self._trouble: Disconnected | None = None

    # Called in the event loop

    @property
    def trouble(self) -> Disconnected | None:
        """Why nothing comes from the brokers."""
        return _SILENT_COORDINATOR if self.commits.is_stuck else self._trouble

    def order(self, what: Callable[[Consumer], None]) -> None:
        """Has it done by the thread, soon."""
        self._orders.append(what)
        self._wakeup.set()

    def wake(self) -> None:
        """There is something to commit, or room again."""
        self._wakeup.set()

    def rejoin(self) -> None:
        """Leaves the group and joins it again, so that it shares out what there is now."""
        self.order(self._rejoin)

    def close(self) -> None:
        """Leaves the group; `run` returns soon."""
        self._closing = True
        self._wakeup.set()

    # The thread

    def run(self) -> None:
        """Until closed; what goes wrong is told."""
        try:
            consumer = self._make({"error_cb": self._on_error})
            try:
                self._poll(consumer)
            finally:
                self._closing = True
                consumer.close()
        except KafkaException as raised:
            self._tell(self._listener.failed, problem_of(raised.args[0]))
        except Exception as error:  # noqa: BLE001 -- whoever follows the lanes is told, here nobody would be
            self._tell(self._listener.failed, error)
        finally:
            self.commits.fail(StoreFailed("the group was left"))

    def is_ours(self, partition: int) -> bool:
        """In the thread."""
        return partition in self._owned

    def _poll(self, consumer: Consumer) -> None:
        self._subscribe(consumer)
        while not self._closing:
            self._round(consumer)
        self.commits.send(consumer)

    def _subscribe(self, consumer: Consumer) -> None:
        consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _rejoin(self, consumer: Consumer) -> None:
        consumer.unsubscribe()  # a static member does not leave at its end, but does here
        self._subscribe(consumer)

    def _round(self, consumer: Consumer) -> None:
        self._obey(consumer)
        self.commits.send(consumer)
        self.readings.balance(consumer)
        self._look_for_brokers(consumer)
        if (are_full := self.readings.are_full) and self._world.monotonic() - self._polled < _IDLE:
            self._wakeup.wait(_IDLE)
            return
        # Full or not, polls go on: rebalances come with them, ahead of what is queued in the client.
        message = consumer.poll(0.0 if are_full else self._timeout())
        self._polled = self._world.monotonic()
        if message is not None:
            self._note_busy()
            self._route(consumer, [message] if are_full else [message, *consumer.consume(_AT_ONCE, 0)])

    def _obey(self, consumer: Consumer) -> None:
        self._wakeup.clear()
        while self._orders:
            self._orders.popleft()(consumer)
            self._note_busy()

    def _look_for_brokers(self, consumer: Consumer) -> None:
        """Once they were gone: where nothing is written, nothing else tells that they are back."""
        now = self._world.monotonic()
        if not self._is_cut_off or now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        with suppress(KafkaException):
            consumer.list_topics(self._topic, timeout=_LOOK)
            self._is_well()

    def _is_well(self) -> None:
        self._is_cut_off, self._trouble = False, None

    def _timeout(self) -> float:
        """A poll cannot be interrupted, so what is asked meanwhile has to wait for its end."""
        return _BUSY if self._world.monotonic() - self._last_busy < _CALM else _IDLE

    def _note_busy(self) -> None:
        self._last_busy = self._world.monotonic()

    def _route(self, consumer: Consumer, messages: Sequence[Message]) -> None:
        wrong = self.readings.route(consumer, messages)
        if len(wrong) < len(messages):
            self._is_well()
        for message, error in wrong:
            if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                self._mend(consumer, message)
            elif is_fatal(error) or is_lasting(error):
                self._tell(self._listener.failed, problem_of(error))
            else:
                self._trouble = problem_of(error)

    def _mend(self, consumer: Consumer, message: Message) -> None:
        number: int = message.partition()  # type: ignore[assignment]
        asked: int = message.offset()  # type: ignore[assignment]
        begins_at = self.readings.mend(consumer, number, asked)
        if begins_at is not None:
            self._tell(self._listener.strayed, number, begins_at)

    def _on_error(self, error: KafkaError) -> None:
        """Of no partition: brokers that cannot be reached or do not let us in."""
        problem, known = problem_of(error), self._trouble
        if is_fatal(error):
            self._tell(self._listener.failed, problem)
        elif problem.lasting:
            self._is_cut_off, self._trouble = True, problem
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._is_cut_off = True  # which says less than why they do not let us in
            self._trouble = known or problem
        elif self._is_cut_off and error.code() in OF_ONE_BROKER and not (known and known.lasting):
            self._trouble = problem

    # Rebalances

    def _on_assign(self, consumer: Consumer, places: Sequence[TopicPartition]) -> None:
        """Nothing is read yet: a partition is opened when it is known where."""
        consumer.incremental_assign([])
        numbers = {place.partition for place in places}
        self._owned |= numbers
        self._tell(self._listener.assigned, numbers)

    def _on_revoke(self, consumer: Consumer, places: Sequence[TopicPartition]) -> None:
        """The group waits until this returns; our heartbeats go on meanwhile."""
        numbers = {place.partition for place in places}
        if numbers and not self._closing:
            gone = threading.Event()
            self._tell(self._listener.leaving, numbers, gone.set)
            self._see_off(consumer, gone)
        self._drop(consumer, numbers)

    def _on_lost(self, consumer: Consumer, places: Sequence[TopicPartition]) -> None:
        numbers = {place.partition for place in places}
        self._drop(consumer, numbers)
        self._tell(self._listener.lost, numbers)

    def _see_off(self, consumer: Consumer, gone: threading.Event) -> None:
        """Commits what the lanes finish, until they are gone or our patience ends."""
        until = self._world.monotonic() + self._patience
        while not gone.is_set() and not self._closing and self._world.monotonic() < until:
            self.commits.send(consumer)
            self._wakeup.wait(_IDLE)
            self._wakeup.clear()
        self.commits.send(consumer)

    def _drop(self, consumer: Consumer, numbers: Collection[int]) -> None:
        self._owned -= set(numbers)
        self.commits.give_up(numbers)
        self.readings.drop(consumer, numbers)
