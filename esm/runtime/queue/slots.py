"""A queue's slots: how many of its batches may be in flight, by its backlog and by the function's health.

A log needs none of it: its lanes and their factor say the same.
"""

from esm.core.breaker import REFUSALS
from esm.core.queue import concurrency, reading
from esm.model import Outcome, Verdict
from esm.runtime.calling.caller import Caller
from esm.runtime.plan import QueueOptions
from esm.runtime.world import World


class Slots:
    """One mapping's, over all its lanes; they are for calls by `caller`."""

    def __init__(self, caller: Caller, options: QueueOptions, world: World) -> None:
        self.caller = caller
        self._world = world
        self._scale = concurrency.scale_from(options.starts_at, options.concurrency, world.monotonic())
        self._health = concurrency.health_of(options.concurrency)
        self._refused = False
        self._taken_for = 0.0
        self.in_flight = 0

    @property
    def limit(self) -> int:
        """Batches that may be in flight now."""
        return concurrency.effective(self._scale, self._health)

    @property
    def free(self) -> int:
        """Slots that another batch may take now; after a refusal one, which finds out whether that is over."""
        if self.caller.is_closed or self.caller.shut_for:
            return 0
        limit = 1 if self._refused or self.caller.circuit_open else self.limit
        return max(0, limit - self.in_flight)

    def began(self) -> None:
        """A batch takes one of the free slots."""
        self.in_flight += 1

    def ended(self) -> None:
        """It has left its slot, one way or another."""
        self.in_flight -= 1

    def taken_for(self, seconds: float) -> None:
        """How long a batch kept its slot, the wait for the target included."""
        self._taken_for = concurrency.smoothed(self._taken_for, seconds)

    def ahead(self, capacity: int, read_takes: float) -> int:
        """Of `capacity`, what slots will take by the time a read of `read_takes` seconds is back."""
        if self._refused or self.caller.is_closed or self.caller.circuit_open:
            return 0
        return reading.ahead(capacity, read_takes, self._taken_for)

    def scarce(self, now: float) -> None:
        """A read came back full, and every slot is spoken for: the limit grows."""
        self._scale = self._scale.scarce(now)

    def busy(self, now: float) -> None:
        """A read came back full, and there are slots left for what it brought."""
        self._scale = self._scale.busy(now)

    def quiet(self, now: float) -> None:
        """A read came back without backlog: after a while the limit shrinks."""
        self._scale = self._scale.quiet(now)

    def learn(self, verdict: Verdict, started: float) -> None:
        """What came of an invocation that began at `started`, and what it means for the next ones.

        A refusal is neutral for the function's health, and a partial failure is no reason to slow down.
        """
        self._refused = verdict.outcome in REFUSALS
        if self._refused:
            return
        if verdict.outcome in {Outcome.FUNCTION_ERROR, Outcome.TIMEOUT}:
            self._health = self._health.failed(started, self._world.monotonic(), self.limit)
        else:
            self._health = self._health.succeeded()
