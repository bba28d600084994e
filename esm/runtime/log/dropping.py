"""What is given up goes to its destination, and only then is it finished.

A destination that fails is tried again, then the next in the chain; when the last one has failed the lane is
stalled and it all begins again: nothing is ever skipped (D3). Without any destination records are dropped and
counted, as on AWS.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from esm.core.backoff import Backoff, Failures
from esm.core.notice import Subject, notice
from esm.errors import Undeliverable
from esm.model import Drop, Lane, Notice
from esm.ports import Destination, LogCodec
from esm.runtime.lane_happenings import DestinationFailed, Dropped
from esm.runtime.log.stall import Stall
from esm.runtime.signals import Stop
from esm.runtime.world import World

_TRIES = 3
_BACKOFF = Backoff(base=1.0, cap=60.0)


@dataclass(frozen=True, slots=True)
class Outlet:
    """A destination, opened, what it is called, and for how many seconds a delivery may take."""

    name: str
    destination: Destination
    patience: float


@dataclass(frozen=True, slots=True)
class Dropping:
    """How one lane gives records up: to the first of `outlets` that takes them."""

    lane: Lane
    outlets: Sequence[Outlet]
    codec: LogCodec
    subject: Subject
    stall: Stall
    world: World
    stop: Stop

    async def drop(self, drop: Drop) -> bool:
        """True once the records need not be remembered any more; False if the stop came before."""
        told = await self._deliver(drop) if self.outlets else None
        if self.outlets and told is None:
            return False
        mapping, records = self.subject.mapping, len(drop.records)
        self.world.tell(Dropped(mapping, self.lane.name, records, drop.condition, told))
        return True

    async def _deliver(self, drop: Drop) -> str | None:
        """The name of the destination that took it."""
        at, spare = self.world.wall(), self.world.new_id()
        said = notice(drop, self.lane, self.codec, self.subject, at=at, spare_id=spare)
        failures = Failures()
        while not self.stop.is_set():
            for outlet in self.outlets:
                for _ in range(_TRIES):
                    why = await self._try(outlet, said)
                    if not why:
                        self.stall.ends("destination")
                        return outlet.name
                    if await self._pause(outlet, drop, why, failures):
                        return None
            self.stall.begins("destination", f"no destination takes what was given up: {why}")
        return None

    async def _try(self, outlet: Outlet, said: Notice) -> str:
        """What went wrong, empty if nothing did."""
        try:
            async with asyncio.timeout(outlet.patience):
                await outlet.destination.deliver(said)
        except Undeliverable as problem:
            return str(problem) or "undeliverable"
        except TimeoutError:
            return f"no answer within {outlet.patience:g} s"
        except Exception as error:  # noqa: BLE001 -- a destination that breaks its contract must not lose records
            return f"{type(error).__name__}: {error}"
        return ""

    async def _pause(self, outlet: Outlet, drop: Drop, why: str, failures: Failures) -> bool:
        """True if the stop came."""
        pause = failures.another(_BACKOFF, self.world.chance())
        mapping, records = self.subject.mapping, len(drop.records)
        self.world.tell(DestinationFailed(mapping, self.lane.name, outlet.name, records, why, pause))
        return await self.stop.within(pause)
