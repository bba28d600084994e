"""A Kinesis stream, end to end: what was put is done in order per key, across a stop, and poison is told of.

The witnesses are outside the engine: what the stream was given, the function's own journal, and the file that the
destination wrote.
"""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from servers.streams import DataStream, StandIn, kinesis_client, kinesis_stand_in

from .consumer import Mood, consumer, kinesis_record, remembering
from .harness import daemon, esm, until, write_config
from .stream_account import StreamAccount, stop
from .stream_load import accepted_by

KEYS = [f"k{number}" for number in range(10)]
POISON = "k3/7"


class Producer:
    """Knows what the stream was given."""

    def __init__(self, stream: DataStream) -> None:
        self.stream = stream
        self.sequence_numbers: dict[str, str] = {}

    def put(self, numbers: range) -> None:
        """These numbers of every key, key by key in turn."""
        for number in numbers:
            for key in KEYS:
                (sequence_number,) = self.stream.put(1, key, f"{key}/{number}".encode())
                self.sequence_numbers[f"{key}/{number}"] = sequence_number

    @property
    def harmless(self) -> list[str]:
        return [body for body in self.sequence_numbers if body != POISON]


@pytest.fixture
def kinesis() -> Iterator[StandIn]:
    with kinesis_stand_in() as running:
        yield running


@pytest.mark.timeout(120)
@pytest.mark.parametrize("factor", [1, 4])
def test_nothing_is_lost_over_a_stop_and_poison_ends_in_the_destination(
    tmp_path: Path, kinesis: StandIn, factor: int
) -> None:
    dead, lives = tmp_path / "dead.jsonl", []
    producer = Producer(DataStream(kinesis_client(kinesis.endpoint_url), "orders", shards=2))
    with consumer(dead, kinesis_record, Random(1), [POISON], mood=Mood(rate=0.0)) as witness:
        orders = witness.mapping(
            producer.stream.arn, parallelization_factor=factor, batch_size=10, maximum_retry_attempts=1
        )
        config = write_config(
            tmp_path / "esm.yaml", kinesis.endpoint_url, {"orders": orders}, **remembering(tmp_path)
        )
        producer.put(range(10))
        with daemon(config) as running:
            until(lambda: witness.journal.done.total() >= 50, "half of the first half done")
            lives.append(stop(running))
        producer.put(range(10, 20))
        with daemon(config) as running:
            witness.settles(producer.sequence_numbers)
            lives.append(stop(running))
    StreamAccount(accepted_by(producer.stream, {}), {}, witness, lives).balances()
    assert witness.journal.done == Counter(producer.harmless)
    assert 2 <= len(witness.journal.of(POISON)) <= 10
    (notice,) = [json.loads(line) for line in dead.read_text().splitlines()]
    info = notice["KinesisBatchInfo"]
    assert info["streamArn"] == producer.stream.arn
    assert (info["batchSize"], info["startSequenceNumber"]) == (1, producer.sequence_numbers[POISON])
    assert notice["requestContext"]["condition"] == "RetryAttemptsExhausted"
    (record,) = notice["esm"]["records"]
    assert b64decode(record["kinesis"]["data"]).decode() == POISON


def test_a_state_that_cannot_be_kept_is_said_before_anything_is_read(tmp_path: Path) -> None:
    mapping = {
        "source": "arn:aws:kinesis:us-east-1:123456789012:stream/s",
        "target": "http://127.0.0.1:9/",
        "starting_position": "LATEST",
    }
    state = {"url": f"sqlite://{tmp_path}/missing/state.db"}
    config = write_config(tmp_path / "esm.yaml", "http://127.0.0.1:9", {"m": mapping}, state=state)
    ended = esm("run", "--config", config)
    assert ended.returncode == 2
    assert "state.url: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.timeout(60)
def test_a_filter_passes_records_over(tmp_path: Path, kinesis: StandIn) -> None:
    stream = DataStream(kinesis_client(kinesis.endpoint_url), "filtered")
    for number in range(20):
        stream.put(1, "k", json.dumps({"n": number}).encode())
    keeps = {"filters": [{"pattern": {"data": {"n": [{"numeric": [">=", 15]}]}}}]}
    with consumer(tmp_path / "dead.jsonl", kinesis_record, Random(1), mood=Mood(rate=0.0)) as witness:
        mapping = witness.mapping(stream.arn, filter_criteria=keeps)
        with daemon(write_config(tmp_path / "esm.yaml", kinesis.endpoint_url, {"m": mapping})) as running:
            until(lambda: witness.journal.done.total() >= 5, "what matches is done")
            stop(running)
    assert sorted(json.loads(body)["n"] for body in witness.journal.done.elements()) == [15, 16, 17, 18, 19]
