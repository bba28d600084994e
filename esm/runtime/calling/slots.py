"""Slots that are handed out in turn between those who wait, not to whoever asks most."""

import asyncio
from collections import deque


class FairSlots:
    """So many slots, handed out in turn between the mappings that wait for one."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def take(self, mapping: str) -> None:
        """Waits for a slot; cancelling gives up the wait, and the slot if it was granted meanwhile."""
        if self._free:
            self._free -= 1
            return
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(mapping, deque()).append(ticket)
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """Gives a slot to the mapping whose turn it is, or back."""
        while self._waiting:
            mapping, tickets = next(iter(self._waiting.items()))
            del self._waiting[mapping]
            while tickets and tickets[0].done():
                tickets.popleft()
            if tickets:
                tickets.popleft().set_result(None)
                if tickets:
                    self._waiting[mapping] = tickets
                return
        self._free += 1
