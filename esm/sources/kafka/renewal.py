"""Passwords that change while we are members: taken up by the next connection, without a restart."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from confluent_kafka import Consumer

from esm.clients.kafka.options import Sasl
from esm.clients.kafka.settings import password_of

_EVERY = 10.0

Order = Callable[[Callable[[Consumer], None]], None]
"""Has something done with the consumer, soon."""


@asynccontextmanager
async def renewing(sasl: Sasl | None, order: Order) -> AsyncIterator[None]:
    """Looks after the file that the password is in, while this is open."""
    if sasl is None or sasl.password_file is None:
        yield
        return
    async with asyncio.TaskGroup() as upkeep:
        looking = upkeep.create_task(_look_after(sasl, password_of(sasl), order))
        try:
            yield
        finally:
            looking.cancel()


async def _look_after(sasl: Sasl, known: str, order: Order) -> None:
    while True:
        await asyncio.sleep(_EVERY)
        with suppress(OSError):  # it is being replaced
            found = password_of(sasl)
            if found != known:
                known = found
                order(partial(_take_up, str(sasl.username), found))


def _take_up(username: str, password: str, consumer: Consumer) -> None:
    consumer.set_sasl_credentials(username, password)
