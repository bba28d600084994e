"""Queues and the long polls that wait on them, oldest first: who is answered when, and with which bytes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from benchmarks.standard_queue import Message, StandardQueue

Reply = Callable[[bytes], None]


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def attribute_members(message: Message) -> dict[str, str]:
    return {
        "SenderId": "AIDAFAKESENDER",
        "SentTimestamp": str(message.sent_ms),
        "ApproximateReceiveCount": str(message.receives),
        "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
    }


def rendered(message: Message, wanted: list[str]) -> bytes:
    attributes = attribute_members(message)
    if "All" not in wanted:
        attributes = {name: value for name, value in attributes.items() if name in wanted}
    shown = b',"Attributes":' + orjson.dumps(attributes) if attributes else b""
    return b'{%b,"ReceiptHandle":"%b"%b}' % (message.fixed, message.handle.encode(), shown)


@dataclass(slots=True, eq=False)
class LongPoll:
    limit: int
    visibility: float
    wanted: list[str]
    reply: Reply
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Waiting:
    queue: StandardQueue
    polls: deque[LongPoll] = field(default_factory=deque)
    alarm: asyncio.TimerHandle | None = None

    def receive(self, poll: LongPoll, seconds: float) -> None:
        if self.queue.visible(time.monotonic()) or not seconds:
            self._hand_over(poll)
            return
        poll.timer = asyncio.get_running_loop().call_later(seconds, self.give_up, poll)
        self.polls.append(poll)
        self.wake()

    def wake(self) -> None:
        """Serve those who wait, and come back when the next message in flight becomes visible again."""
        now = time.monotonic()
        while self.polls and self.queue.visible(now):
            self._hand_over(self.polls.popleft())
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
        due = self.queue.next_visible_at()
        if self.polls and due is not None:
            self.alarm = asyncio.get_running_loop().call_later(max(due - now, 0.001), self.wake)

    def abandon(self, poll: LongPoll) -> None:
        """The client went away: what would be handed to it now would be hidden from everyone."""
        if poll in self.polls:
            self.polls.remove(poll)
        if poll.timer is not None:
            poll.timer.cancel()

    def give_up(self, poll: LongPoll) -> None:
        if poll in self.polls:
            self.polls.remove(poll)
            self._hand_over(poll)

    def _hand_over(self, poll: LongPoll) -> None:
        if poll.timer is not None:
            poll.timer.cancel()
        taken = self.queue.take(poll.limit, poll.visibility, time.monotonic(), wall_ms())
        messages = b",".join([rendered(message, poll.wanted) for message in taken])
        poll.reply(b'{"Messages":[%b]}' % messages if taken else b"{}")
