"""A topic of Apache Kafka, end to end: what was written is done in order, across a stop, and poison is told of.

The function answers with what failed by partition and offset. The witnesses are outside the engine: what the topic
holds, the function's own journal, and the file that the destination wrote.
"""

import json
from pathlib import Path
from random import Random

import pytest

from servers import Server, TopicMaker

from .consumer import consumer, kafka_record, remembering
from .function import Function
from .harness import daemon, until, write_config
from .stream_account import StreamAccount, stop
from .topic_load import TopicLoad

GROUP = "orders"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("factor", "protocol"), [(1, "classic"), (4, "consumer")])
def test_nothing_is_lost_over_a_stop_and_poison_ends_in_the_destination(
    tmp_path: Path, kafka: Server, make_topic: TopicMaker, factor: int, protocol: str
) -> None:
    topic, lives = make_topic(kafka.address, partitions=3), []
    keys, poison = (
        (0, "p1/7") if factor == 1 else (5, "p1k3/7")
    )  # with a factor of 1 all of a partition is in order
    load = TopicLoad(topic, 3, keys)
    with consumer(tmp_path / "dead.jsonl", kafka_record, Random(1), [poison], left=Function.failed) as witness:
        orders = witness.mapping(
            {
                "type": "kafka",
                "bootstrap_servers": kafka.address,
                "topic": topic.name,
                "consumer_group_id": GROUP,
                "group_protocol": protocol,
            },
            parallelization_factor=factor,
            batch_size=10,
            maximum_batching_window_in_seconds=0,
        )
        config = write_config(
            tmp_path / "esm.yaml", "http://127.0.0.1:9", {"orders": orders}, **remembering(tmp_path)
        )
        load.put(20)
        with daemon(config) as running:
            until(lambda: len(witness.journal.done) >= 30, "half of the first half done")
            lives.append(stop(running))
        load.put(20)
        with daemon(config) as running:
            witness.settles(load.taken)
            lives.append(stop(running))
    account = StreamAccount(load.accepted(), {}, witness, lives)
    account.balances()
    assert account.again()["retry"] > 0
    assert set(account.given_up) == {poison}
    assert {number: place.offset for number, place in topic.committed(GROUP).items()} == topic.ends()
    (notice,) = [json.loads(line) for line in (tmp_path / "dead.jsonl").read_text().splitlines()]
    (place,) = [one for one in account.sent if one.body == poison]
    assert notice["KafkaBatchInfo"]["batchSize"] == 1
    assert notice["KafkaBatchInfo"]["recordsInfo"][place.lane]["firstRecordOffset"] == str(place.at)
    assert notice["requestContext"]["condition"] == "RetryAttemptsExhausted"
