"""A target's circuit breaker among those who want to call it.

While it is closed it is not in anybody's way. While it is open batches wait here, kept alive by their lanes: one
at a time, in turn between the mappings, is let through as a probe when its moment has come. A probe that reaches
the function closes the circuit, and everybody passes.
"""

from collections.abc import Callable
from contextlib import ExitStack

from esm.core.breaker import CLOSED, Breaker
from esm.model import Outcome
from esm.runtime.calling.slots import FairSlots
from esm.runtime.signals import Bell
from esm.runtime.world import World


class Circuit:
    """One target's, shared by all mappings that name it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._breaker: Breaker = CLOSED
        self._probe = FairSlots(1)
        self._changed = Bell()
        self._listeners: list[Callable[[], None]] = []

    def is_open(self) -> bool:
        """The target is left alone but for probes."""
        return self._breaker.opened is not None

    @property
    def shut_for(self) -> float:
        """Seconds for which not even a probe may be sent; 0 if it is closed."""
        return self._breaker.shut_for(self._world.monotonic())

    @property
    def open_for(self) -> float:
        """Seconds since it opened; 0 if it is closed."""
        opened = self._breaker.opened
        return 0.0 if opened is None else self._world.monotonic() - opened

    @property
    def refusals(self) -> int:
        """How many came in a row."""
        return self._breaker.refusals

    async def passed(self, mapping: str, permit: ExitStack) -> Callable[[], bool]:
        """Waits until `mapping` may call; a probe's turn is given on when its `permit` is closed.

        Returns how to ask whether it still may, after it has waited for other things too.
        """
        if not self.is_open():
            return self._is_closed
        await self._probe.take(mapping)
        permit.callback(self._probe.give)
        while self.is_open() and (wait := self.shut_for) > 0:
            await self._changed.heard(wait)
        if self.is_open():
            return self._is_not_shut
        permit.close()
        return self._is_closed

    def _is_closed(self) -> bool:
        return not self.is_open()

    def _is_not_shut(self) -> bool:
        return self.shut_for == 0

    def refused(self, outcome: Outcome, asked: float | None) -> bool:
        """A call was refused, and asked for a pause of `asked` seconds; True if that opened the circuit."""
        was_open = self.is_open()
        now, chance = self._world.monotonic(), self._world.chance()
        self._breaker = self._breaker.refused(outcome, now, asked, chance)
        return self.is_open() and not was_open

    def reached(self) -> None:
        """A call reached the function, whatever came of it."""
        was_open, self._breaker = self.is_open(), CLOSED
        if was_open:
            self._changed.ring()
            for listener in tuple(self._listeners):
                listener()

    def when_closed(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` each time the circuit closes; returns how to withdraw it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
