"""The sources of the demonstration, all of one account, and what has been sent to each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from esm.demo.account import Account
from esm.demo.aws import Service
from esm.demo.dynamodb import Table
from esm.demo.example import Names
from esm.demo.feeds import Feed, LogFeed, QueueFeed
from esm.demo.journal import entries
from esm.demo.kafka import Topic
from esm.demo.kinesis import DataStream
from esm.demo.kinesis_local import StreamServer
from esm.demo.sqs import Sqs
from esm.demo.workload import Message

_VISIBILITY = 2


@dataclass(frozen=True, slots=True)
class Stage:
    """`feeds` and `sent` by the name of their mapping. `names` is what the configuration calls them."""

    feeds: Mapping[str, Feed]
    stream: DataStream
    names: Names
    sent: dict[str, list[Message]]

    async def send(self, name: str, messages: Sequence[Message]) -> None:
        """To one of them, in the order given."""
        self.sent[name].extend(messages)
        await self.feeds[name].send(messages)

    async def left(self, journal: Path) -> dict[str, int]:
        """How many of each are neither worked off nor dead-lettered."""
        done = {entry.id for entry in entries(journal) if entry.done}
        return {
            name: await feed.left({message.id for message in self.sent[name]} - done)
            for name, feed in self.feeds.items()
        }

    async def dead(self) -> dict[str, int]:
        """What the dead letters of each hold."""
        return {name: await feed.dead() for name, feed in self.feeds.items()}

    async def accounts(self, journal: Path) -> Sequence[Account]:
        """Takes out all that is left, and draws up the account of each."""
        noted, accounts = entries(journal), []
        for name, feed in self.feeds.items():
            ids = {message.id for message in self.sent[name]}
            # What was sent to none of them is a stranger to each.
            others = {message.id for other in self.sent if other != name for message in self.sent[other]}
            own = [entry for entry in noted if entry.id in ids or entry.id not in others]
            accounts.append(await feed.account(self.sent[name], own))
        return accounts


async def built(session: aiohttp.ClientSession, emulator: str, stream_server: StreamServer, brokers: str) -> Stage:
    """Two queues and a table at `emulator` (a URL), a stream and a topic at their own servers; all empty."""
    sqs = Sqs(session, emulator)
    orders = await sqs.create("orders", _VISIBILITY)
    payments = await sqs.create("payments.fifo", _VISIBILITY)
    clicks_failed_url, clicks_failed = await sqs.make("clicks-failed", {})
    accounts_failed_url, accounts_failed = await sqs.make("accounts-failed", {})
    parcels_failed_url, parcels_failed = await sqs.make("parcels-failed", {})
    kinesis = Service(session, stream_server.endpoint, "Kinesis_20131202", "1.1")
    stream = await DataStream.create(kinesis, "clicks")
    table = await _table(session, emulator, "accounts")
    topic = Topic("parcels", brokers)
    feeds: dict[str, Feed] = {
        "orders": QueueFeed(sqs, orders),
        "payments": QueueFeed(sqs, payments),
        "clicks": LogFeed("clicks stream", stream, sqs, clicks_failed_url),
        "accounts": LogFeed("accounts table", table, sqs, accounts_failed_url),
        "parcels": LogFeed("parcels topic", topic, sqs, parcels_failed_url),
    }
    names = Names(
        orders=orders.arn,
        payments=payments.arn,
        clicks=stream.arn,
        clicks_failed=clicks_failed,
        accounts=table.name,
        accounts_failed=accounts_failed,
        parcels=topic.url,
        parcels_failed=parcels_failed,
    )
    return Stage(feeds, stream, names, {name: [] for name in feeds})


async def _table(session: aiohttp.ClientSession, emulator: str, name: str) -> Table:
    services = [
        Service(session, emulator, f"{target}_20120810", "1.0") for target in ("DynamoDB", "DynamoDBStreams")
    ]
    table = Table(name, *services)
    await table.create()
    return table
