"""Moves the end of messages' visibility timeouts: further away to keep them, to now to give them back."""

import asyncio
import math
from collections.abc import Iterator, Sequence

from esm.clients.aws_calls import Call
from esm.core.backoff import Backoff
from esm.errors import Disconnected
from esm.model import Record
from esm.sources.sqs.entries import Batch
from esm.sources.sqs.queue import PAGE
from esm.world import World

_CALLS = 8
_MOST_TRIES = 3
_BACKOFF = Backoff(base=0.2, cap=1.0)
_LONGEST = 43_200


class Visibility:
    """Of the messages of one queue."""

    def __init__(self, call: Call, url: str, world: World) -> None:
        self._batch = Batch(call, "ChangeMessageVisibilityBatch", url)
        self._world = world

    async def change(self, records: Sequence[Record], seconds: float) -> list[Record]:
        """Makes these visible `seconds` from now, rounded up; returns those that SQS says are not in flight.

        An entry that is never answered counts as not in flight. Raises `Disconnected` when a call failed.
        """
        lost: list[Record] = []
        lots = (records[at : at + PAGE] for at in range(0, len(records), PAGE))
        work = _Work(lots, {"VisibilityTimeout": min(_LONGEST, math.ceil(seconds))}, lost)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_CALLS, math.ceil(len(records) / PAGE))):
                tasks.create_task(self._drain(work))
        if work.problem is not None:
            raise work.problem
        return lost

    async def _drain(self, work: "_Work") -> None:
        """Several of these share the lots; none begins another after a problem, which would meet it too."""
        for lot in work.lots:
            if work.problem is None:
                await self._change(lot, work)

    async def _change(self, lot: Sequence[Record], work: "_Work") -> None:
        problem: Disconnected | None = None
        for tries in range(1, _MOST_TRIES + 1):
            answer = await self._batch.ask(lot, work.extra)
            problem = answer.problem
            if problem is not None and problem.lasting:
                break
            work.lost.extend(answer.refused)
            lot = answer.again
            if not lot:
                return
            if problem is None and tries == _MOST_TRIES:
                # SQS answers, but not for these: what it does not keep for us is not ours, and no reason to
                # know nothing of all the others.
                work.lost.extend(lot)
                return
            if tries < _MOST_TRIES:
                await self._world.sleep(_BACKOFF.pause(tries, self._world.chance()))
        work.problem = problem


class _Work:
    """One change of many messages, shared by the calls that carry it out."""

    def __init__(self, lots: Iterator[Sequence[Record]], extra: dict[str, int], lost: list[Record]) -> None:
        self.lots = lots
        self.extra = extra
        self.lost = lost
        self.problem: Disconnected | None = None
