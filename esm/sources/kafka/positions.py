"""What a consumer group has for a topic, and what offsets there are: the questions of one source."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

from esm.clients.kafka.asking import Committed, Question, ask, committed, offsets, partitions

T = TypeVar("T")
Reach = Callable[[], Awaitable[Mapping[str, Any]]]


class Positions:
    """Of `group` in `topic`. Raises `Disconnected`.

    Each time with a client of its own, whose settings `reach` gives: a password may have changed since the last.
    With `isolation` read_committed the end is where the first open transaction begins.
    """

    def __init__(self, reach: Reach, group: str, topic: str, isolation: str) -> None:
        self._reach = reach
        self._isolation = isolation
        self.group = group
        self.topic = topic

    async def committed(self) -> Mapping[int, Committed]:
        """By partition; one without a position is left out."""
        return await self._ask(committed(self.topic, await self.partitions()))

    async def unowned(self) -> Collection[int]:
        """The partitions without a position."""
        return set(range(await self.partitions())) - set(await self.committed())

    async def partitions(self) -> int:
        """How many there are. A topic that does not exist is `Disconnected` with the code NO_TOPIC."""
        return await self._ask(partitions(self.topic))

    async def offsets(self, wanted: Mapping[int, int], /) -> Mapping[int, int]:
        """By partition, what is wanted of it: OLDEST, END, or a time in epoch milliseconds."""
        return await self._ask(offsets(self.topic, wanted)) if wanted else {}

    async def _ask(self, question: Question[T]) -> T:
        reached = await self._reach()
        return await ask({**reached, "group.id": self.group, "isolation.level": self._isolation}, question)
