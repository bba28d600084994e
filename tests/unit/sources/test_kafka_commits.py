"""Commits of one consumer: which answer belongs to which, and what becomes of those that get none."""

from typing import Any

from confluent_kafka import KafkaError, TopicPartition
from kafka_script import TOPIC, ScriptedConsumer

from esm.errors import LostLease, StoreFailed
from esm.sources.kafka.commits import Asked, Commits


class Bench:
    def __init__(self) -> None:
        self.consumer: Any = ScriptedConsumer()
        self.now = 0.0
        self.commits = Commits({0, 1}, lambda: self.now)
        self.outcomes: list[Any] = []

    def ask(self, partition: int, offset: int) -> None:
        place = TopicPartition(TOPIC, partition, offset, "text")
        self.commits.ask(Asked(place, self.outcomes.append))

    def send(self) -> None:
        self.commits.send(self.consumer)


class Refused:
    """An answer for one partition of several."""

    def __init__(self, partition: int, code: int) -> None:
        self.partition = partition
        self.error = KafkaError(code)


def test_what_was_asked_goes_together() -> None:
    bench = Bench()
    bench.ask(0, 5)
    bench.ask(1, 6)
    bench.send()
    bench.send()
    assert bench.consumer.committed == [{0: 5, 1: 6}]
    assert bench.outcomes == [None, None]


def test_of_one_partition_the_last_word_counts() -> None:
    """Who asked earlier has given up waiting."""
    bench = Bench()
    bench.ask(0, 5)
    bench.ask(0, 7)
    bench.send()
    assert bench.consumer.committed == [{0: 7}]
    assert bench.outcomes == [None]


def test_each_partition_has_its_own_answer() -> None:
    bench = Bench()
    bench.ask(0, 5)
    bench.ask(1, 6)
    bench.consumer.refused = {0: Refused(0, KafkaError.ILLEGAL_GENERATION)}
    bench.send()
    assert [type(outcome) for outcome in bench.outcomes] == [LostLease, type(None)]


def test_what_is_asked_while_one_is_answered_is_sent_after_it() -> None:
    bench = Bench()
    bench.ask(0, 5)
    bench.consumer.on_commit = lambda: bench.ask(0, 7) if len(bench.consumer.committed) == 1 else None
    bench.send()
    assert bench.outcomes == [None]
    bench.send()
    assert bench.consumer.committed == [{0: 5}, {0: 7}]
    assert bench.outcomes == [None, None]


def test_what_the_coordinator_did_not_take_is_not_sent_again_unless_it_is_asked_again() -> None:
    bench = Bench()
    bench.consumer.refusal = KafkaError.COORDINATOR_NOT_AVAILABLE
    bench.ask(0, 5)
    bench.send()
    bench.send()
    assert bench.consumer.committed == [{0: 5}]
    assert [type(outcome) for outcome in bench.outcomes] == [StoreFailed]


def test_an_answer_that_is_owed_for_long_is_known() -> None:
    bench = Bench()
    known: list[bool] = []

    def answers_late() -> None:
        for bench.now in (5.0, 5.1):
            known.append(bench.commits.is_stuck)

    bench.ask(0, 5)
    bench.consumer.on_commit = answers_late
    bench.send()
    assert known == [False, True]
    assert not bench.commits.is_stuck


def test_after_a_slow_answer_all_is_written_twice_for_a_while() -> None:
    """The client may have tried the slow one more than once, and brokers keep no order between connections."""
    bench = Bench()

    def answers_late() -> None:
        bench.now += 1.1

    bench.consumer.on_commit = answers_late
    bench.ask(0, 5)
    bench.send()
    bench.consumer.on_commit = lambda: None
    for after in (9.9, 0.1):
        bench.now += after
        bench.ask(0, 7)
        bench.send()
    assert bench.consumer.committed == [{0: 5}, {0: 7}, {0: 7}, {0: 7}]
    assert bench.outcomes == [None, None, None]


def test_at_the_end_everybody_is_told_once() -> None:
    bench = Bench()
    bench.ask(0, 5)
    bench.ask(1, 6)
    bench.commits.fail(StoreFailed("the group was left"))
    bench.commits.fail(StoreFailed("the group was left"))
    assert [type(outcome) for outcome in bench.outcomes] == [StoreFailed, StoreFailed]


def test_what_is_given_up_is_refused_and_the_rest_is_sent() -> None:
    bench = Bench()
    bench.ask(0, 5)
    bench.ask(1, 6)
    bench.commits.give_up({0})
    assert [type(outcome) for outcome in bench.outcomes] == [LostLease]
    bench.send()
    assert bench.consumer.committed == [{1: 6}]
