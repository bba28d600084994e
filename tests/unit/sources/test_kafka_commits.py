"""Commits of one consumer: which answer belongs to which, and what becomes of those that get none."""

from typing import Any

from confluent_kafka import KafkaError, TopicPartition
from kafka_script import TOPIC, ScriptedConsumer

from esm.errors import LostLease, StoreFailed
from esm.sources.kafka.commits import Asked, Commits


class Bench:
    def __init__(self) -> None:
        self.now = 0.0
        self.consumer: Any = ScriptedConsumer()
        self.commits = Commits({0, 1}, lambda: self.now)
        self.outcomes: list[Any] = []

    def ask(self, partition: int, offset: int, text: str = "text") -> TopicPartition:
        place = TopicPartition(TOPIC, partition, offset, text)
        self.commits.ask(Asked(place, self.outcomes.append))
        return place

    def send(self) -> None:
        self.commits.send(self.consumer)


class Refused:
    """An answer for one partition of several."""

    def __init__(self, place: TopicPartition, code: int) -> None:
        self.partition, self.offset, self.metadata = place.partition, place.offset, place.metadata
        self.error = KafkaError(code)


def test_an_answer_belongs_to_the_text_too() -> None:
    """What is used up of retries changes while the offset stays: an old answer says nothing of the new text."""
    bench = Bench()
    bench.ask(0, 5, "one failure")
    bench.send()
    bench.now = 31.0
    bench.ask(0, 5, "two failures")
    bench.send()
    bench.outcomes.clear()
    bench.ask(0, 5, "two failures")
    bench.send()
    bench.commits.answered(None, [TopicPartition(TOPIC, 0, 5, "one failure")])
    assert bench.outcomes == []
    bench.commits.answered(None, [TopicPartition(TOPIC, 0, 5, "two failures")])
    assert bench.outcomes == [None]


def test_each_partition_has_its_own_answer() -> None:
    bench = Bench()
    first, second = bench.ask(0, 5), bench.ask(1, 6)
    bench.send()
    refused: Any = Refused(first, KafkaError.ILLEGAL_GENERATION)
    bench.commits.answered(None, [refused, second])
    assert [type(outcome) for outcome in bench.outcomes] == [LostLease, type(None)]


def test_an_answer_that_does_not_come_is_a_failure_after_half_a_minute_and_the_next_is_sent() -> None:
    bench = Bench()
    bench.ask(0, 5)
    bench.send()
    bench.now = 30.0
    bench.send()
    assert bench.outcomes == []
    bench.now = 30.1
    bench.send()
    assert [type(outcome) for outcome in bench.outcomes] == [StoreFailed]
    assert bench.commits.is_idle
    bench.ask(0, 7)
    bench.send()
    assert bench.consumer.committed == [("sent", {0: 5}), ("sent", {0: 7})]


def test_at_the_end_everybody_is_told_once() -> None:
    bench = Bench()
    bench.ask(0, 5)
    bench.send()
    bench.ask(1, 6)
    bench.commits.fail(StoreFailed("the group was left"))
    bench.commits.fail(StoreFailed("the group was left"))
    assert [type(outcome) for outcome in bench.outcomes] == [StoreFailed, StoreFailed]


def test_what_was_sent_again_in_a_rebalance_has_to_be_answered_before_anything_newer_is_sent() -> None:
    """The client tries the first one again by itself, maybe only after what follows: positions would go back."""
    bench = Bench()
    first = bench.ask(0, 5)
    bench.send()
    bench.commits.finish(bench.consumer)
    assert bench.outcomes == [None]
    bench.ask(0, 7)
    bench.send()
    assert bench.consumer.committed == [("sent", {0: 5}), ("waited for", {0: 5})]
    assert not bench.commits.is_idle
    bench.commits.answered(None, [first])
    bench.send()
    assert bench.consumer.committed[2:] == [("sent", {0: 7})]


def test_for_such_an_answer_nobody_waits_longer_than_for_any_other() -> None:
    bench = Bench()
    bench.ask(0, 5)
    bench.send()
    bench.commits.finish(bench.consumer)
    bench.ask(0, 7)
    bench.now = 30.1
    bench.send()
    assert bench.consumer.committed[2:] == [("sent", {0: 7})]
