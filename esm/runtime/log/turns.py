"""One turn of an owner: its first part is sent once and judged, or given up.

The order of things is what makes a crash harmless. What may kill us is written down before it is sent; what is
given up is with its destination before it counts as finished; what is finished is committed after that.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from esm.core.backoff import Backoff
from esm.core.breaker import REFUSALS, pause_after
from esm.core.log.judging import LogVerdict, RetryRule, doomed, judge_log, spent, too_old_in
from esm.core.log.ledger import Ledger
from esm.core.log.parts import Owner, Part
from esm.model import Drop, Record
from esm.runtime.calling.caller import Caller
from esm.runtime.happenings import Paused
from esm.runtime.lane_happenings import Bisected, Retried
from esm.runtime.log.committer import Committer
from esm.runtime.log.dropping import Dropping
from esm.runtime.memory import Memory
from esm.runtime.signals import Stop
from esm.runtime.world import World

_FAILURE = Backoff(base=1.0, cap=60.0)
_STORE_PATIENCE = 5.0
_MOST_STORE_PATIENCE = 60.0
_NO_PLACE = 1.0


@dataclass(slots=True)
class Turns:
    """How the owners of one lane take their turns; `is_careful` says whether every call is written down first.

    `rest` is given owners that may go on, each with the moment it is due at.
    """

    mapping: str
    lane: str
    ledger: Ledger
    rule: RetryRule
    caller: Caller
    dropping: Dropping
    committer: Committer
    memory: Memory
    world: World
    stop: Stop
    is_careful: Callable[[], bool]
    rest: Callable[[Owner], None]
    calls: int = field(default=0, init=False)
    in_flight: int = field(default=0, init=False)
    _patience: float = field(default=_STORE_PATIENCE, init=False)

    async def take(self, owner: Owner) -> None:
        """Afterwards the owner has nothing left, or rests."""
        if drop := self._doomed(owner):
            await self._give_up(owner, drop)
            return
        patience = too_old_in(owner.first, self.rule, self.world.wall())
        slot = await self.caller.slot(self.stop, within=patience)
        if slot is None:
            self.rest(owner)
            return
        with slot:
            judged = None if self.stop.is_set() else await self._send(owner)
        if judged is None:
            self.rest(owner)
        else:
            await self._settle(owner, *judged)

    def _doomed(self, owner: Owner) -> Drop | None:
        return doomed(owner.first, self.rule, self.world.wall())

    async def _send(self, owner: Owner) -> tuple[Part, str, LogVerdict] | None:
        """With a slot in hand; None if after all nothing could be sent."""
        if self._doomed(owner):  # waiting for the slot took its time
            return None
        try:
            if (owner.known or self.is_careful()) and not await self._announce(owner):
                return None
            part, batch_id = owner.first, self.world.new_id()
            return part, batch_id, await self._invoke(part, batch_id)
        except asyncio.CancelledError:
            if self.stop.is_set():  # cut off by our own stop: as if it had never been sent
                owner.becomes([owner.first.sent(in_flight=False)])
            raise

    async def _announce(self, owner: Owner) -> bool:
        """Writes down that the part is being sent: it may be what kills us. A slot does not wait for that long.

        Unless the store always takes longer: then what fails would never be sent again. Where there is no room to
        write it the owner tries again later: others are finished by then.
        """
        owner.becomes([owner.first.sent(in_flight=True)])
        if not self.ledger.has_place(owner):
            owner.due = self.world.monotonic() + _NO_PLACE
        elif await self._is_durable() and not self.stop.is_set():
            return True
        owner.becomes([owner.first.sent(in_flight=False)])
        self.committer.hurry()
        return False

    async def _is_durable(self) -> bool:
        """What is known is written; waits the longer for it the slower the store is."""
        is_durable = await self.committer.durable(self._patience)
        if is_durable or self.committer.is_failing:
            self._patience = _STORE_PATIENCE
        else:
            self._patience = min(2 * self._patience, _MOST_STORE_PATIENCE)
        return is_durable

    async def _invoke(self, part: Part, batch_id: str) -> LogVerdict:
        self.calls += 1
        self.in_flight += 1
        try:
            return await self.caller.call(
                batch_id,
                part.budget.attempts + 1,
                part.records,
                lambda reply: judge_log(part, reply, self.rule, self.world.wall()),
            )
        finally:
            self.in_flight -= 1

    async def _settle(self, owner: Owner, part: Part, batch_id: str, verdict: LogVerdict) -> None:
        if verdict.drop is not None:
            owner.becomes([spent(part, verdict.drop, self.world.wall())])
            await self._give_up(owner, verdict.drop)
            return
        if verdict.done:
            self._finish(owner, verdict.done)
        if not verdict.pending:
            self._go_on(owner)
        else:
            self._pend(owner, batch_id, part, verdict)

    async def _give_up(self, owner: Owner, drop: Drop) -> None:
        """Its destination first; meanwhile whoever restarts us finds that there is nothing left to try."""
        owner.known = True
        self.committer.hurry()
        if await self.dropping.drop(drop):
            self._finish(owner, drop.records)
            self._go_on(owner)

    def _finish(self, owner: Owner, records: Sequence[Record]) -> None:
        before = self.ledger.held_bytes
        self.ledger.finished(owner, records)
        self.memory.free(before - self.ledger.held_bytes)
        self.committer.changed()

    def _go_on(self, owner: Owner) -> None:
        owner.refusals = 0
        if owner.parts:
            self.rest(owner)

    def _pend(self, owner: Owner, batch_id: str, part: Part, verdict: LogVerdict) -> None:
        """What is pending goes on after a pause; what shares no key with it need not wait for it."""
        owner.becomes(verdict.pending)
        if verdict.outcome in REFUSALS:
            self._refused(owner, batch_id, verdict)
        else:
            self._failed(owner, batch_id, part, verdict)
        self.committer.hurry()
        for other in self.ledger.separate(owner):
            self.rest(other)
        self.rest(owner)

    def _refused(self, owner: Owner, batch_id: str, verdict: LogVerdict) -> None:
        owner.refusals += 1
        chance = self.world.chance()
        pause = pause_after(verdict.outcome, owner.refusals, verdict.retry_after, chance)
        owner.due = self.world.monotonic() + pause
        self.world.tell(Paused(self.mapping, batch_id, len(owner.first.records), pause))

    def _failed(self, owner: Owner, batch_id: str, part: Part, verdict: LogVerdict) -> None:
        owner.known, owner.refusals = True, 0
        if len(verdict.pending) > 1:
            self.world.tell(Bisected(self.mapping, self.lane, batch_id, len(part.records)))
        first = owner.first
        pause = _FAILURE.pause(max(1, first.budget.attempts), self.world.chance())
        owner.due = self.world.monotonic() + pause
        records, attempts = len(first.records), first.budget.attempts
        self.world.tell(
            Retried(self.mapping, self.lane, batch_id, records, verdict.outcome.value, attempts, pause)
        )
