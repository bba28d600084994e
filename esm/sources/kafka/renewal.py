"""Passwords, secrets and certificates that change while we are members, taken up without a restart.

A new password is for the next connection, which the client makes when a broker hangs up on the old one. Everything
else a client has for as long as it lives, so the group is joined anew, by one who knows the new.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from confluent_kafka import Consumer

from esm.clients.kafka.access import Access, Identity
from esm.errors import Disconnected
from esm.world import World

_EVERY = 10.0
_SECRETS_EVERY = 300.0
"""Each look costs a call to AWS; when the brokers do not let us in we look at once."""

_PASSWORD = {"sasl.username", "sasl.password"}


class Renewed(Protocol):
    """Whose credentials they are."""

    @property
    def trouble(self) -> Disconnected | None:
        """Why nothing comes from the brokers."""

    def order(self, what: Callable[[Consumer], None]) -> None:
        """Has something done with the consumer, soon."""

    def join_anew(self) -> None:
        """Leaves the group, and makes another client."""


@asynccontextmanager
async def renewing(access: Access, known: Identity, who: Renewed, world: World) -> AsyncIterator[None]:
    """Looks after files and secrets while this is open. `known` is what our client was made with."""
    if not access.may_change:
        yield
        return
    async with asyncio.TaskGroup() as upkeep:
        looking = upkeep.create_task(_look_after(access, known, who, world))
        try:
            yield
        finally:
            looking.cancel()


async def _look_after(access: Access, known: Identity, who: Renewed, world: World) -> None:
    looked, seen = world.monotonic(), known
    while True:
        await asyncio.sleep(_EVERY)
        if access.entries and who.trouble is None and world.monotonic() < looked + _SECRETS_EVERY:
            continue
        looked = world.monotonic()
        try:
            found = await access.identity()
        except Disconnected:  # it is being replaced, or what our client has is all that there is
            continue
        if found != known and _is_password(found, known):
            _take_up(found, who)
            known = found
        elif found != known and found == seen:  # twice the same: a certificate has its key by now
            return who.join_anew()
        seen = found


def _is_password(found: Identity, known: Identity) -> bool:
    """Whether they differ in nothing else."""
    names = {**found.settings, **known.settings}
    return found.files == known.files and all(
        name in _PASSWORD or found.settings.get(name) == known.settings.get(name) for name in names
    )


def _take_up(found: Identity, who: Renewed) -> None:
    username, password = (str(found.settings[name]) for name in ("sasl.username", "sasl.password"))
    who.order(partial(Consumer.set_sasl_credentials, username=username, password=password))
