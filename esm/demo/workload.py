"""What is sent: orders on a standard queue, payments on a FIFO queue, and among them some that fail.

A message says in its body how it wants to be treated, so the function needs no memory and the account knows
what to expect of each.
"""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from msgspec import Struct

MAX_RECEIVES = 3
"""How often a queue hands out a message before it moves it to its dead letters."""

_ORDERS = 300
_CUSTOMERS = 12
_PAYMENTS_EACH = 20


class Nature(StrEnum):
    """How the function treats a message: it succeeds, fails on its first delivery, or fails always."""

    GOOD = "good"
    FLAKY = "flaky"
    POISON = "poison"


class Message(Struct, frozen=True):
    """One message. `group` is None on a standard queue; `number` counts inside the queue or the group."""

    id: str
    group: str | None
    number: int
    nature: Nature

    @property
    def body(self) -> str:
        """Its body in the queue."""
        return json.dumps({"id": self.id, "group": self.group, "nature": self.nature})

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in a SendMessageBatch."""
        fifo = {"MessageGroupId": self.group, "MessageDeduplicationId": self.id} if self.group else {}
        return {"Id": self.id, "MessageBody": self.body, **fifo}


def orders() -> list[Message]:
    """For the standard queue."""
    return [Message(f"order-{number}", None, number, _nature(number, 25, 10)) for number in range(1, _ORDERS + 1)]


def payments() -> list[Message]:
    """For the FIFO queue, the groups interleaved.

    Poison stands near the end of its group, because what waits behind it uses up its receives together with it.
    """
    return [
        Message(
            f"customer-{customer}-payment-{number}", f"customer-{customer}", number, _payment(customer, number)
        )
        for number in range(1, _PAYMENTS_EACH + 1)
        for customer in range(1, _CUSTOMERS + 1)
    ]


def trickle() -> Iterator[tuple[Message, Message]]:
    """An order and a payment at a time, without an end."""
    number = 1
    while True:
        group = f"visitor-{number % _CUSTOMERS + 1}"
        yield (
            Message(f"late-order-{number}", None, _ORDERS + number, _nature(number, 25, 10)),
            Message(f"late-payment-{number}", group, number, Nature.GOOD),
        )
        number += 1


def _nature(number: int, poison: int, flaky: int) -> Nature:
    if number % poison == 0:
        return Nature.POISON
    return Nature.FLAKY if number % flaky == 0 else Nature.GOOD


def _payment(customer: int, number: int) -> Nature:
    if customer % 4 == 1 and number == _PAYMENTS_EACH - 2:
        return Nature.POISON
    return Nature.FLAKY if customer % 3 == 2 and number == _PAYMENTS_EACH // 2 else Nature.GOOD
