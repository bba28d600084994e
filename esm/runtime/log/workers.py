"""The workers of one lane: as many batches in flight at once as its factor says.

A free worker takes what waits for another try first, then a fresh batch. An owner that pauses holds no worker.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from esm.core.batching import due_in
from esm.core.log.ledger import LaneRule, Ledger
from esm.core.log.parts import Owner
from esm.runtime.memory import Memory
from esm.runtime.signals import Bell, Stop
from esm.runtime.world import World


@dataclass(slots=True)
class Workers:
    """`turn` is what an owner does while it has a worker, after which `turn_over` is called.

    Nothing fresh is begun while `is_failing`.
    """

    ledger: Ledger
    rule: LaneRule
    memory: Memory
    world: World
    stop: Stop
    turn: Callable[[Owner], Awaitable[None]]
    turn_over: Callable[[], None]
    is_failing: Callable[[], bool]
    _resting: list[Owner] = field(default_factory=list, init=False)
    _busy: int = field(default=0, init=False)
    _bell: Bell = field(default_factory=Bell, init=False)

    def idle(self) -> int:
        """How many have nothing to do."""
        return self.rule.factor - self._busy

    def rest(self, *owners: Owner) -> None:
        """These may go on, each when it is due."""
        self._resting += owners
        self._bell.ring()

    def look_again(self) -> None:
        """There may be something to do."""
        self._bell.ring()

    async def run(self, work: asyncio.TaskGroup) -> None:
        """Until the lane is finished or the stop comes; the turns are tasks of `work`."""
        while not self.stop.is_set() and not self.ledger.is_finished:
            await self._bell.heard(self._start_what_is_due(work))

    def _start_what_is_due(self, work: asyncio.TaskGroup) -> float | None:
        """Gives free workers something to do; returns seconds until there may be more, None if a ring tells."""
        while self.idle():
            now = self.world.monotonic()
            owner = min(self._resting, key=_due, default=None)
            if owner is not None and owner.due <= now:
                self._resting.remove(owner)
            elif (fresh_in := self._fresh_in(now)) == 0:
                owner = self.ledger.take(self.idle())
            else:
                waits = [] if fresh_in is None else [fresh_in]
                return min([*waits, owner.due - now] if owner is not None else waits, default=None)
            self._busy += 1
            work.create_task(self._take_turn(owner))
        return None

    def _fresh_in(self, now: float) -> float | None:
        """Seconds until a fresh batch is due; None if none will be before something else happens."""
        ledger = self.ledger
        if not ledger.may_hand_out or self.is_failing():
            return None
        full = self.memory.full or ledger.has_ended or ledger.is_crowded
        return due_in(ledger.buffer, self.rule.batch, now, room_is_full=full)

    async def _take_turn(self, owner: Owner) -> None:
        try:
            await self.turn(owner)
        finally:
            self._busy -= 1
            self._bell.ring()
            self.turn_over()


def _due(owner: Owner) -> float:
    return owner.due
