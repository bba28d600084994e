"""The account of a benchmark of Kafka: both floors write the whole event, and what is not whole is counted."""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from benchmarks import kafka_broker, kafka_key_parallelism, kafka_scenarios, kafka_trickle
from benchmarks.arrivals import Arrivals
from benchmarks.bodies import body
from benchmarks.floors import kafka_lean, kafka_stock
from benchmarks.kafka_arrivals import good_kafka_ones
from benchmarks.kafka_contenders import KAFKA_CONTENDERS
from servers import Server

Write = Callable[[Sequence[Any], str, str], bytes]
WRITERS: Sequence[Write] = (kafka_lean.event, kafka_stock.event)


class Message:
    """As confluent_kafka has it."""

    def __init__(self, number: int, value: bytes | None = b"", key: bytes | None = b"") -> None:
        self._number = number
        self._value = body(number, 1.0, 100).encode() if value == b"" else value
        self._key = b"key-%d" % (number % 2) if key == b"" else key

    def topic(self) -> str:
        return "orders"

    def partition(self) -> int:
        return self._number % 2

    def offset(self) -> int:
        return self._number

    def timestamp(self) -> tuple[int, int]:
        return (1, 1_700_000_000_000)

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return [("h", b"\x01\xff")] if self._number else None


def seen(event: bytes) -> dict[str, int]:
    arrivals = Arrivals(good_kafka_ones)
    arrivals.note(event, 2.0)
    return arrivals.totals()


@pytest.mark.parametrize("write", WRITERS)
def test_a_floor_writes_an_event_that_the_account_takes(write: Write) -> None:
    totals = seen(write([Message(number) for number in range(5)], "orders", "127.0.0.1:9092"))
    assert (totals["distinct"], totals["malformed"], totals["overtaken"]) == (5, 0, 0)


def test_both_floors_say_the_same_also_of_what_is_not_there() -> None:
    messages = [Message(0, None, None), Message(1), Message(3)]
    lean, stock = (json.loads(write(messages, "orders", "127.0.0.1:9092")) for write in WRITERS)
    assert lean == stock
    assert lean["records"]["orders-0"][0]["value"] is None


@pytest.mark.parametrize("flaw", [{"offset": None}, {"value": "e30="}, {"timestampType": "NONE"}, {"extra": 1}])
def test_a_record_that_is_not_whole_is_counted(flaw: dict[str, Any]) -> None:
    event = json.loads(kafka_lean.event([Message(0), Message(2)], "orders", "127.0.0.1:9092"))
    event["records"]["orders-0"][0] |= flaw
    totals = seen(json.dumps(event).encode())
    assert (totals["distinct"], totals["malformed"]) == (1, 1)


def test_a_record_that_overtakes_another_of_its_key_is_counted() -> None:
    assert seen(kafka_lean.event([Message(2), Message(0)], "orders", "127.0.0.1:9092"))["overtaken"] == 1


@pytest.fixture
def beside(kafka: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker of the tests serves the benchmarks too."""
    shared = kafka_broker.Broker(kafka.address, os.getpid())
    for module in (kafka_broker, kafka_scenarios, kafka_trickle):
        monkeypatch.setattr(module, "broker", lambda: shared)


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("name", KAFKA_CONTENDERS)
async def test_a_backlog_is_delivered_whole(name: str) -> None:
    load = kafka_scenarios.KafkaBacklog(records=3000)
    run = await kafka_scenarios.drain_topic(KAFKA_CONTENDERS[name], load)
    assert run.account.balanced, run.account
    assert run.account.sent == 3000


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("name", ["lean", "engine"])
async def test_a_trickle_is_timed_from_the_producer_to_the_target(name: str) -> None:
    load = kafka_trickle.KafkaTrickle(rate=100, seconds=1, warm=1)
    run = await kafka_trickle.trickle_topic(KAFKA_CONTENDERS[name], load)
    assert run.account.balanced, run.account
    assert run.figures["count"] == 100


@pytest.mark.usefixtures("beside")
async def test_keys_of_a_partition_go_in_parallel_and_the_account_holds() -> None:
    found = await kafka_key_parallelism.kafka_key_parallelism(0.01)
    assert "100 records" in found.about
    assert [verdict.passed for verdict in found.verdicts if verdict.measured is None] == [True]
    assert found.figures["s by HTTP, factor 20"] > 0


async def test_what_a_handler_inside_the_engine_was_given_is_checked_like_what_came_by_http() -> None:
    events = [kafka_lean.event([Message(number)], "orders", "127.0.0.1:9092") for number in (2, 0, 1)]
    async with kafka_key_parallelism.own_handler() as (target, file):
        file.write_bytes(b"".join(b"%d.5 %b\n" % (moment, event) for moment, event in enumerate(events)))
        arrivals = kafka_key_parallelism.noted(file)
    assert (target["type"], arrivals.moments) == ("python", [0.5, 1.5, 2.5])
    assert (arrivals.totals()["distinct"], arrivals.totals()["overtaken"]) == (3, 1)
