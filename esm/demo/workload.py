"""What is sent: orders to a standard queue, payments to a FIFO queue, clicks to a stream, changes to a table,
and parcels to a topic.

Among them are some that fail.

A message says in its body how it wants to be treated, so the function needs no memory and the account knows
what to expect of each.
"""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

MAX_RECEIVES = 3
"""How often a queue hands out a message before it moves it to its dead letters."""

_ORDERS = 300
_CUSTOMERS = 12
_PAYMENTS_EACH = 20
_VISITORS = 15
_CLICKS_EACH = 20
_ACCOUNTS = 20
_WRITES_EACH = 6
_VANS = 20
_PARCELS_EACH = 10
_REMOVED = "-removed"


class Nature(StrEnum):
    """How the function treats a message: it succeeds, fails on its first delivery, or fails always."""

    GOOD = "good"
    FLAKY = "flaky"
    POISON = "poison"


class Message(Struct, frozen=True):
    """One message. `number` counts inside the queue or the group.

    `group` is what order is kept in: a message group, the partition key of a stream, the key of an item or of a
    record in a topic; None on a standard queue.
    """

    id: str
    group: str | None
    number: int
    nature: Nature

    @property
    def body(self) -> str:
        """Its body in a queue or a stream."""
        return json.dumps({"id": self.id, "group": self.group, "nature": self.nature})

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in a SendMessageBatch."""
        fifo = {"MessageGroupId": self.group, "MessageDeduplicationId": self.id} if self.group else {}
        return {"Id": self.id, "MessageBody": self.body, **fifo}

    @property
    def removes(self) -> bool:
        """In a table: its item goes."""
        return self.id.endswith(_REMOVED)


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


def clicks() -> list[Message]:
    """For the stream, its keys interleaved; there is poison before and after the middle."""
    return [
        Message(f"visitor-{visitor}-click-{number}", f"visitor-{visitor}", number, _click(visitor, number))
        for number in range(1, _CLICKS_EACH + 1)
        for visitor in range(1, _VISITORS + 1)
    ]


def changes() -> list[Message]:
    """For the table, its items interleaved: each inserted, then modified a few times, every second one removed."""
    accounts = range(1, _ACCOUNTS + 1)
    writes = [
        Message(f"account-{account}-change-{number}", f"account-{account}", number, _change(account, number))
        for number in range(1, _WRITES_EACH + 1)
        for account in accounts
    ]
    items = [f"account-{account}" for account in accounts if account % 2 == 0]
    return writes + [Message(removal(item), item, _WRITES_EACH + 1, Nature.GOOD) for item in items]


def parcels() -> list[Message]:
    """For the topic, its keys interleaved. Poison is the last of its key: what a function leaves alone behind it
    would be given up together with it.
    """
    return [
        Message(f"van-{van}-parcel-{number}", f"van-{van}", number, _parcel(van, number))
        for number in range(1, _PARCELS_EACH + 1)
        for van in range(1, _VANS + 1)
    ]


def removal(item: str) -> str:
    """The id of the message that removes an item."""
    return f"{item}{_REMOVED}"


def trickle() -> Iterator[Mapping[str, Message]]:
    """One message for each mapping at a time, without an end."""
    number = 1
    while True:
        customer, visitor, account, van = (
            f"late-{who}-{number % _CUSTOMERS}" for who in ("customer", "visitor", "account", "van")
        )
        yield {
            "orders": Message(f"late-order-{number}", None, _ORDERS + number, _nature(number, 25, 10)),
            "payments": Message(f"late-payment-{number}", customer, number, Nature.GOOD),
            "clicks": Message(f"late-click-{number}", visitor, number, _nature(number, 25, 10)),
            "accounts": Message(f"late-change-{number}", account, number, _nature(number, 25, 10)),
            "parcels": Message(f"late-parcel-{number}", van, number, Nature.GOOD),
        }
        number += 1


def _nature(number: int, poison: int, flaky: int) -> Nature:
    if number % poison == 0:
        return Nature.POISON
    return Nature.FLAKY if number % flaky == 0 else Nature.GOOD


def _payment(customer: int, number: int) -> Nature:
    if customer % 4 == 1 and number == _PAYMENTS_EACH - 2:
        return Nature.POISON
    return Nature.FLAKY if customer % 3 == 2 and number == _PAYMENTS_EACH // 2 else Nature.GOOD


def _click(visitor: int, number: int) -> Nature:
    if (visitor % 5, number) in {(1, _CLICKS_EACH // 2 - 2), (3, _CLICKS_EACH - 5)}:
        return Nature.POISON
    return Nature.FLAKY if visitor % 5 == 2 and number == _CLICKS_EACH // 4 else Nature.GOOD


def _change(account: int, number: int) -> Nature:
    if account % 10 == 4 and number == _WRITES_EACH // 2 + 1:
        return Nature.POISON
    return Nature.FLAKY if account % 10 == 7 and number == _WRITES_EACH // 2 else Nature.GOOD


def _parcel(van: int, number: int) -> Nature:
    if van % 5 == 2 and number == _PARCELS_EACH:
        return Nature.POISON
    return Nature.FLAKY if van % 5 == 4 and number == _PARCELS_EACH // 2 else Nature.GOOD
