"""The only writer of a lane's checkpoint: workers that commit for themselves overtake each other.

Snapshots are numbered. Whoever needs to know that something is durable asks for a number and waits for it; all
who ask while a write is under way share the next one. What nobody waits for is written once per interval.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from esm.checkpoint import Checkpoint
from esm.core.backoff import Backoff, Failures
from esm.errors import StoreFailed
from esm.runtime.lane_happenings import Committed
from esm.runtime.log.row import HeldRow
from esm.runtime.log.stall import Stall
from esm.runtime.signals import Bell
from esm.runtime.world import World

_BACKOFF = Backoff(base=0.5, cap=30.0)


@dataclass(slots=True)
class Committer:
    """`snapshot` gives the checkpoint of this moment; `interval` in seconds; `wake` is called after each write."""

    mapping: str
    row: HeldRow
    snapshot: Callable[[], Checkpoint]
    interval: float
    stall: Stall
    world: World
    wake: Callable[[], None]
    _bell: Bell = field(default_factory=Bell, init=False)
    _durable: asyncio.Condition = field(default_factory=asyncio.Condition, init=False)
    _changed: bool = field(default=False, init=False)
    _hurried: bool = field(default=False, init=False)
    _closing: bool = field(default=False, init=False)
    _asked: int = field(default=0, init=False)
    _written: int = field(default=0, init=False)
    _last: float = field(default=float("-inf"), init=False)
    _failures: Failures = field(default_factory=Failures, init=False)

    @property
    def is_failing(self) -> bool:
        """The store does not take our writes: nothing more should be begun."""
        return self._failures.in_a_row > 0

    def changed(self) -> None:
        """Something was finished: worth a write within the interval."""
        self._changed = True
        self._bell.ring()

    def hurry(self) -> None:
        """Something has failed: worth a write at once."""
        self._changed = self._hurried = True
        self._bell.ring()

    async def durable(self, within: float) -> bool:
        """Waits until what is known now is written; False if that takes longer than `within` seconds."""
        self._asked += 1
        number = self._asked
        self.hurry()
        try:
            async with asyncio.timeout(within), self._durable:
                await self._durable.wait_for(lambda: self._written >= number)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Writes once more, and ends."""
        self._closing = True
        self.hurry()

    async def run(self) -> None:
        """Until closed. Raises `LostLease`."""
        while True:
            await self._due()
            if await self._write() and self._closing and not self._changed:
                return

    async def _due(self) -> None:
        """Returns when there is something to write, and it is time to."""
        while not self._changed:
            await self._bell.heard()
        while not self._hurried and (left := self._last + self.interval - self.world.monotonic()) > 0:
            await self._bell.heard(left)

    async def _write(self) -> bool:
        number, self._changed, self._hurried = self._asked, False, False
        checkpoint = self.snapshot()
        try:
            await self.row.commit(checkpoint)
        except StoreFailed as problem:
            self._changed = self._hurried = True
            await self._failed(problem)
            return False
        await self._succeeded(number, checkpoint)
        return True

    async def _failed(self, problem: StoreFailed) -> None:
        self.stall.begins("store", f"the store fails: {problem}")
        await asyncio.sleep(self._failures.another(_BACKOFF, self.world.chance()))

    async def _succeeded(self, number: int, checkpoint: Checkpoint) -> None:
        self._failures.over()
        self._last = self.world.monotonic()
        self._written = number
        self.stall.ends("store")
        parts = len(checkpoint.parts)
        self.world.tell(Committed(self.mapping, self.row.row.lane, checkpoint.at, len(checkpoint.spans), parts))
        async with self._durable:
            self._durable.notify_all()
        self.wake()
