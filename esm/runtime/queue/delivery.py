"""One batch, from its slot to its answer.

A batch is invoked and judged; settling it is the lane's, when its slot is free again. A refusal never reached
the function, so the batch stays in its slot, kept alive by heartbeats, and is sent again after a pause; only
when it has been held too long, or when the engine stops, is it let go. What was never sent is given back at
once.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from msgspec import Struct

from esm.core.breaker import pause_after
from esm.core.queue.judging import Reports, judge
from esm.model import Record, Verdict
from esm.runtime.happenings import Paused
from esm.runtime.queue.custody import Custody
from esm.runtime.queue.slots import Slots
from esm.runtime.signals import Stop
from esm.runtime.world import World


class Answered(Struct, frozen=True):
    """A batch as it was sent last, and what the answer means for it."""

    batch_id: str
    batch: Sequence[Record]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the batches of one lane are delivered."""

    mapping: str
    custody: Custody
    slots: Slots
    reports: Reports
    world: World
    stop: Stop
    reads_over: asyncio.Event

    async def send(self, batch: Sequence[Record]) -> Answered | None:
        """Sends `batch` until it is answered; None if it was given back or let go instead."""
        batch_id = self.world.new_id()
        attempt = 0
        while batch := await self.custody.still_ours(batch):
            slot = await self.slots.caller.slot(self.stop, self._patience(batch, attempt))
            if slot is not None:
                with slot:
                    batch = await self.custody.still_ours(batch)
                    if not batch:
                        return None
                    attempt += 1
                    verdict = await self._invoke(batch_id, batch, attempt)
                if not verdict.refused:
                    return Answered(batch_id, batch, verdict)
            if slot is None or await self._pause(batch_id, batch, attempt, verdict):
                await self._not_sent(batch_id, batch, attempt)
                break
        return None

    def _patience(self, batch: Sequence[Record], attempt: int) -> float:
        """Seconds to wait for a slot: what has been refused is held no longer than D1 allows."""
        return self.custody.time_left(batch) if attempt else self.custody.patience(batch)

    async def _invoke(self, batch_id: str, batch: Sequence[Record], attempt: int) -> Verdict:
        started = self.world.monotonic()
        judged = partial(judge, batch, reports=self.reports)
        verdict = await self.slots.caller.call(batch_id, attempt, batch, judged)
        self.slots.learn(verdict, started)
        return verdict

    async def _pause(self, batch_id: str, batch: Sequence[Record], attempt: int, verdict: Verdict) -> bool:
        """Waits before a refused batch is sent again; True if it must not be: stop, or held too long."""
        left = self.custody.time_left(batch)
        pause = pause_after(verdict.outcome, attempt, verdict.retry_after, self.world.chance())
        self.world.tell(Paused(self.mapping, batch_id, len(batch), min(pause, left)))
        return await self.stop.within(min(pause, left)) or pause >= left

    async def _not_sent(self, batch_id: str, batch: Sequence[Record], attempt: int) -> None:
        """Gives back what the target never accepted; after refusals without a stop it is let go instead.

        On a stop only when no read is open any more, which would take it again and burn a receive count.
        """
        if self.stop.is_set():
            await self.reads_over.wait()
            await self.custody.give_back(batch, "stopping")
        elif attempt:
            await self.custody.let_go(batch_id, batch)
        else:
            await self.custody.give_back(batch, "held too long")
