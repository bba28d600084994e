"""The thread of the consumer, step by step: orders, rebalances, back-pressure, and what goes wrong."""

import asyncio
import itertools
from collections.abc import Callable, Collection
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition
from kafka_script import TOPIC, ScriptedConsumer, message

from esm.errors import Disconnected, LostLease, StoreFailed
from esm.sources.kafka import readings
from esm.sources.kafka.commits import Asked, TooMuchText
from esm.sources.kafka.event import Encoder, Envelope
from esm.sources.kafka.feed import Feed
from esm.sources.kafka.poller import Poller
from esm.sources.kafka.readings import Reading
from esm.world import World

ENVELOPE = Envelope("b:1", TOPIC)


class Told:
    """A listener that lets lanes go as soon as it is told, unless `holds`."""

    def __init__(self) -> None:
        self.news: list[Any] = []
        self.holds = False
        self.on_leaving: Callable[[], None] = lambda: None

    def assigned(self, partitions: Collection[int]) -> None:
        self.news.append(("assigned", set(partitions)))

    def leaving(self, partitions: Collection[int], gone: Callable[[], None]) -> None:
        self.news.append(("leaving", set(partitions)))
        self.on_leaving()
        if not self.holds:
            gone()

    def lost(self, partitions: Collection[int]) -> None:
        self.news.append(("lost", set(partitions)))

    def failed(self, problem: Exception) -> None:
        self.news.append(problem)

    def strayed(self, partition: int, oldest: int) -> None:
        self.news.append(("strayed", partition, oldest))


class Bench:
    """A poller whose clock goes on by itself, and that closes when its script is at its end."""

    def __init__(self, *script: Any, patience: float = 5.0) -> None:
        clock = itertools.count(0.0, 0.2)
        self.world = World(lambda: next(clock), lambda: 1.5, asyncio.sleep, lambda: 0.5, lambda: "id")
        self.told = Told()
        self.consumer = ScriptedConsumer(*script, lambda _: self.poller.close())
        self.poller = Poller(self.consumer.made, TOPIC, self.told, self._tell, self.world, patience=patience)
        self.feeds: dict[int, Feed] = {}
        self.outcomes: list[Any] = []

    def _tell(self, what: Callable[..., None], *given: Any) -> None:
        what(*given)

    def open(self, partition: int, offset: int = 0) -> Callable[[ScriptedConsumer], None]:
        def step(_: ScriptedConsumer) -> None:
            feed = Feed(f"t-{partition}", self.world, lambda: None)
            self.feeds[partition] = feed
            place = TopicPartition(TOPIC, partition)
            reading = Reading(feed, Encoder(ENVELOPE, partition), place, offset)
            self.poller.order(lambda consumer: self.poller.readings.open(consumer, reading))

        return step

    def ask(self, partition: int, offset: int) -> Callable[[ScriptedConsumer], None]:
        asked = Asked(TopicPartition(TOPIC, partition, offset, "text"), self.outcomes.append)
        return lambda _: self.poller.commits.ask(asked)

    def run(self) -> "Bench":
        self.poller.run()
        return self


def assign(*partitions: int) -> Callable[[ScriptedConsumer], None]:
    return lambda consumer: consumer.assign(*partitions)


def waits(_: ScriptedConsumer) -> None:
    """One poll more."""


async def read(feed: Feed) -> tuple[list[int], Any]:
    page = await feed.read(1000, 0)
    return [record.position for record in page.records], page


def test_a_partition_is_read_from_where_it_was_opened_and_not_before() -> None:
    bench = Bench()
    before: list[dict[int, int]] = []
    bench.consumer.script.extendleft(
        [waits, bench.open(1, 42), lambda consumer: before.append(dict(consumer.assigned)), assign(0, 1)]
    )
    bench.run()
    assert bench.told.news == [("assigned", {0, 1})]
    assert before == [{}]
    assert bench.consumer.assigned == {1: 42}
    assert bench.consumer.closed


async def test_messages_find_their_lanes_and_others_are_dropped() -> None:
    bench = Bench()
    batch = [message(0, 5), message(1, 7), message(0, 6), message(9, 1)]
    bench.consumer.script.extendleft([batch, bench.open(1), bench.open(0), assign(0, 1)])
    bench.run()
    assert (await read(bench.feeds[0]))[0] == [5, 6]
    positions, page = await read(bench.feeds[1])
    assert positions == [7]
    assert (page.upto, page.end, page.lost) == (7, 1000, 0)


async def test_the_end_of_a_partition_moves_on_over_what_is_no_record() -> None:
    bench = Bench()
    eof = KafkaError._PARTITION_EOF
    batch = [message(0, 5), message(0, 8, error=eof)]
    bench.consumer.script.extendleft([batch, bench.open(0), assign(0)])
    bench.run()
    _, page = await read(bench.feeds[0])
    assert (page.upto, page.behind) == (7, 0.0)


def test_commits_go_together() -> None:
    bench = Bench()

    def asks(consumer: ScriptedConsumer) -> None:
        for partition, offset in ((0, 7), (1, 6)):
            bench.ask(partition, offset)(consumer)

    bench.consumer.script.extendleft([waits, asks, bench.ask(0, 5), assign(0, 1)])
    bench.run()
    assert bench.consumer.committed == [{0: 5}, {0: 7, 1: 6}]
    assert bench.outcomes == [None, None, None]


def test_what_is_committed_while_lanes_drain_is_written_before_they_go() -> None:
    bench = Bench()
    bench.told.on_leaving = lambda: bench.ask(0, 9)(bench.consumer)
    bench.consumer.script.extendleft([lambda c: c.revoke(0), assign(0)])
    bench.run()
    assert bench.consumer.committed == [{0: 9}]
    assert bench.outcomes == [None]


def test_patience_with_a_lane_that_does_not_go_ends() -> None:
    bench = Bench(patience=1.0)
    bench.told.holds = True
    bench.consumer.script.extendleft([lambda c: c.revoke(0), waits, bench.open(0), assign(0)])
    bench.run()
    assert bench.consumer.assigned == {}


async def test_after_a_revocation_nothing_is_committed_and_readers_are_told() -> None:
    bench = Bench(patience=0.1)
    bench.told.holds = True
    bench.consumer.script.extendleft(
        [waits, bench.ask(0, 9), lambda c: c.revoke(0), waits, bench.open(0), assign(0)]
    )
    bench.run()
    assert bench.consumer.committed == []
    assert isinstance(bench.outcomes[0], LostLease)
    with pytest.raises(LostLease):
        await bench.feeds[0].read(1, 0)


def test_what_was_asked_before_a_partition_went_is_not_sent_once_it_is_back() -> None:
    bench = Bench()

    def asked_lost_and_back(consumer: ScriptedConsumer) -> None:
        bench.ask(0, 9)(consumer)
        consumer.lose(0)
        consumer.assign(0)

    bench.consumer.script.extendleft([waits, asked_lost_and_back, assign(0, 1)])
    bench.run()
    assert bench.consumer.committed == []
    assert [type(outcome) for outcome in bench.outcomes] == [LostLease]


def test_on_a_loss_nothing_is_committed() -> None:
    bench = Bench()

    def asked_and_lost(consumer: ScriptedConsumer) -> None:
        bench.ask(0, 5)(consumer)
        consumer.lose(0)

    bench.consumer.script.extendleft([asked_and_lost, assign(0, 1)])
    bench.run()
    assert bench.consumer.committed == []
    assert isinstance(bench.outcomes[0], LostLease)
    assert bench.told.news[-1] == ("lost", {0})


def test_a_coordinator_that_does_not_answer_is_the_reason_why_nothing_is_read() -> None:
    bench = Bench()
    troubles: list[Disconnected | None] = []

    def answers_late() -> None:
        until = bench.world.monotonic() + 5.0
        while bench.world.monotonic() < until:
            pass
        troubles.append(bench.poller.trouble)

    bench.consumer.on_commit = answers_late
    bench.consumer.script.extendleft([waits, bench.ask(0, 5), assign(0)])
    bench.run()
    assert [each and each.reason for each in troubles] == ["the coordinator of the group does not answer a commit"]
    assert bench.poller.trouble is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.ILLEGAL_GENERATION, LostLease),
        (KafkaError.UNKNOWN_MEMBER_ID, LostLease),
        (KafkaError.FENCED_INSTANCE_ID, LostLease),
        (KafkaError._FATAL, LostLease),
        (KafkaError.REBALANCE_IN_PROGRESS, StoreFailed),
        (KafkaError.NOT_COORDINATOR, StoreFailed),
        (KafkaError.OFFSET_METADATA_TOO_LARGE, TooMuchText),
    ],
)
def test_what_a_refusal_means(code: int, kind: type[Exception]) -> None:
    bench = Bench()
    bench.consumer.refusal = code
    bench.consumer.script.extendleft([waits, bench.ask(0, 5), assign(0)])
    bench.run()
    assert [type(outcome) for outcome in bench.outcomes] == [kind]


async def test_a_partition_with_far_too_much_is_paused_and_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_ROOM", 2000)
    monkeypatch.setattr(readings, "_LEAST_ROOM", 1000)
    bench = Bench()
    seen: list[set[int]] = []

    def look(consumer: ScriptedConsumer) -> None:
        seen.append(set(consumer.paused))

    def empty(_: ScriptedConsumer) -> None:
        bench.feeds[0].went = bench.feeds[0].came

    large = [message(0, number, b"x" * 600) for number in range(4)]
    bench.consumer.script.extendleft(
        [look, waits, empty, look, waits, large, bench.open(1), bench.open(0), assign(0, 1)]
    )
    bench.run()
    assert seen == [{0}, set()]


@pytest.mark.parametrize("comes_back", ["assigned", "opened"])
async def test_a_pause_does_not_outlive_a_partition_that_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, comes_back: str
) -> None:
    """The client remembers a pause beyond the assignment that it was of: such a partition would stay silent."""
    monkeypatch.setattr(readings, "_ROOM", 2000)
    monkeypatch.setattr(readings, "_LEAST_ROOM", 1000)
    bench = Bench()
    seen: list[set[int]] = []

    def shut(_: ScriptedConsumer) -> None:
        feed = bench.feeds[0]
        bench.poller.order(lambda consumer: bench.poller.readings.shut(consumer, 0, feed))

    def look(consumer: ScriptedConsumer) -> None:
        seen.append(set(consumer.paused))

    again: dict[str, list[Any]] = {
        "assigned": [waits, bench.open(0, 4), assign(0), lambda c: c.revoke(0)],
        "opened": [waits, bench.open(0, 4), shut],
    }
    large = [message(0, number, b"x" * 600) for number in range(4)]
    steps = [look, *again[comes_back], look, waits, large, bench.open(1), bench.open(0), assign(0, 1)]
    bench.consumer.script.extendleft(steps)
    bench.run()
    assert seen == [{0}, set()]


def test_while_no_lane_has_room_one_message_is_polled_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_ROOM", 1000)
    monkeypatch.setattr(readings, "_LEAST_ROOM", 1000)
    bench = Bench()
    large = [message(0, number, b"x" * 900) for number in range(2)]
    more = [message(0, number) for number in range(2, 12)]
    bench.consumer.script.extendleft([waits, more, large, bench.open(0), assign(0)])
    bench.run()
    assert len(bench.consumer.queue) == 7, "one for each of the three polls that found no room"


async def test_a_trimmed_position_is_read_on_at_the_oldest() -> None:
    bench = Bench()
    bench.consumer.bounds = (30, 90)
    gone = [message(0, 10, error=KafkaError._AUTO_OFFSET_RESET)]
    bench.consumer.script.extendleft([waits, gone, waits, bench.open(0, 10), assign(0)])
    bench.run()
    assert bench.consumer.assigned == {0: 30}
    _, page = await read(bench.feeds[0])
    assert (page.lost, page.upto) == (20, 29)


def test_a_position_beyond_the_end_is_of_another_partition() -> None:
    bench = Bench()
    bench.consumer.bounds = (0, 5)
    gone = [message(0, 10, error=KafkaError._AUTO_OFFSET_RESET)]
    bench.consumer.script.extendleft([gone, waits, bench.open(0, 10), assign(0)])
    bench.run()
    assert bench.told.news[-1] == ("strayed", 0, 0)
    assert bench.consumer.assigned == {}


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "NonExistentTopic"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "AccessDenied"),
    ],
)
def test_what_somebody_has_to_mend_ends_the_membership(code: int, name: str) -> None:
    bench = Bench([message(-1, -1, error=code)]).run()
    (problem,) = bench.told.news
    assert isinstance(problem, Disconnected)
    assert (problem.code, problem.lasting) == (name, True)


@pytest.mark.parametrize("flags", [{}, {"fatal": True}], ids=["as a poll returns it", "as it should be"])
def test_a_client_that_cannot_go_on_ends_the_membership(flags: dict[str, bool]) -> None:
    """Of what a poll of librdkafka 2.16 returns then `fatal()` says that it is not."""
    fatal: Any = Message(error=KafkaError(KafkaError._FATAL, "another has this name", **flags))
    (problem,) = Bench([fatal]).run().told.news
    assert isinstance(problem, Disconnected)


def test_on_the_way_out_nobody_is_waited_for() -> None:
    """Whoever closes has waited for the lanes."""
    bench = Bench()

    def closing(consumer: ScriptedConsumer) -> None:
        bench.poller.close()
        consumer.revoke(0)

    bench.consumer.script.extendleft([closing, assign(0)])
    bench.run()
    assert bench.told.news == [("assigned", {0})]


def test_a_lane_that_is_done_does_not_shut_what_the_next_one_opened() -> None:
    bench = Bench()

    def shut_late(_: ScriptedConsumer) -> None:
        feed = Feed("t-0", bench.world, lambda: None)
        bench.poller.order(lambda consumer: bench.poller.readings.shut(consumer, 0, feed))

    bench.consumer.script.extendleft([waits, shut_late, waits, bench.open(0, 7), assign(0)])
    bench.run()
    assert bench.consumer.assigned == {0: 7}


async def test_an_end_that_was_seen_before_the_last_records_is_none() -> None:
    bench = Bench()
    batch = [message(0, 5, error=KafkaError._PARTITION_EOF), message(0, 5), message(0, 6)]
    bench.consumer.script.extendleft([batch, bench.open(0, 5), assign(0)])
    bench.run()
    _, page = await read(bench.feeds[0])
    assert page.upto == 6
    assert page.behind


async def test_a_position_at_the_end_is_no_other_partitions() -> None:
    """Records were trimmed up to it, and it is where the next one will be."""
    bench = Bench()
    bench.consumer.bounds = (10, 10)
    gone = [message(0, 10, error=KafkaError._AUTO_OFFSET_RESET)]
    bench.consumer.script.extendleft([waits, gone, waits, bench.open(0, 10), assign(0)])
    bench.run()
    assert bench.told.news == [("assigned", {0})]
    assert bench.consumer.assigned == {0: 10}


@pytest.mark.parametrize("mends", [[message(0, 1)], lambda consumer: setattr(consumer, "is_down", False)])
def test_brokers_that_are_all_down_are_a_trouble_until_they_are_heard_of(mends: Any) -> None:
    """By a record, or where none is written because they answer again."""
    troubles: list[Disconnected | None] = []
    bench = Bench()

    def down(consumer: ScriptedConsumer) -> None:
        consumer.is_down = True
        consumer.callbacks["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))

    def look(_: ScriptedConsumer) -> None:
        troubles.append(bench.poller.trouble)

    long = [waits] * 10
    bench.consumer.script.extendleft([look, *long, mends, look, *long, down, waits, bench.open(0), assign(0)])
    bench.run()
    assert [each and each.code for each in troubles] == ["unreachable", None]


def test_of_brokers_that_are_all_down_it_is_told_why() -> None:
    reasons: list[str] = []

    def hears(code: int, text: str) -> Callable[[ScriptedConsumer], None]:
        def step(consumer: ScriptedConsumer) -> None:
            consumer.is_down = True
            consumer.callbacks["error_cb"](KafkaError(code, text))
            reasons.append("" if bench.poller.trouble is None else bench.poller.trouble.reason)

        return step

    bench = Bench(
        hears(KafkaError._TRANSPORT, "b:1: Disconnected"),
        hears(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"),
        hears(KafkaError._TRANSPORT, "b:1: Connection refused"),
        hears(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"),
    )
    bench.run()
    assert reasons == ["", "1/1 brokers are down", "b:1: Connection refused", "b:1: Connection refused"]


def test_a_client_that_breaks_is_told_of() -> None:
    def breaks(_: ScriptedConsumer) -> None:
        raise RuntimeError("broken")

    bench = Bench(breaks).run()
    assert isinstance(bench.told.news[-1], RuntimeError)
    assert bench.consumer.closed
