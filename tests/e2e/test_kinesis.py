"""A Kinesis stream, end to end: what was put is done in order per key, across a stop, and poison is told of.

The witnesses are outside the engine: what the stream was given, the function's own journal, and the file that the
destination wrote.
"""

import json
import signal
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.streams import DataStream, StandIn, kinesis_client, kinesis_stand_in

from .harness import Answer, Function, daemon, esm, function, until, write_config

KEYS = [f"k{number}" for number in range(10)]
POISON = "k3/7"


class Consumer(Function):
    """Fails each batch with poison in it. `done` are the records of calls that succeeded, `order` their order.

    A record is its data, `KEY/NUMBER`. `tries` counts the calls with poison.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0
        self.at_once: Counter[str] = Counter()
        self.overlaps: list[str] = []
        self._noting = threading.Lock()

    def called(self, event: dict[str, Any], headers: dict[str, str]) -> Answer:
        """One call; keeps account of keys that are in two calls at once."""
        found = [b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
        keys = Counter({body.partition("/")[0] for body in found})
        with self._noting:
            self.overlaps += [key for key in keys if self.at_once[key]]
            self.at_once += keys
        time.sleep(0.005)
        with self._noting:
            self.at_once -= keys
            if POISON in found:
                self.tries += 1
                return Answer(500, b"poison")
            self.done.update(found)
            self.order += found
        return Answer()


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


def orders(stream: DataStream, served: Function, dead: Path, **options: Any) -> dict[str, Any]:
    return {
        "source": stream.arn,
        "target": served.url,
        "starting_position": "TRIM_HORIZON",
        "batch_size": 10,
        "maximum_retry_attempts": 1,
        "bisect_batch_on_function_error": True,
        "destination_config": {"on_failure": {"destination": f"file://{dead}", "annotate": True}},
        **options,
    }


def in_order(done: list[str]) -> bool:
    return all(
        own == sorted(own, key=lambda body: int(body.partition("/")[2]))
        for key in KEYS
        for own in [[body for body in done if body.startswith(f"{key}/")]]
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("factor", [1, 4])
def test_nothing_is_lost_over_a_stop_and_poison_ends_in_the_destination(
    tmp_path: Path, kinesis: StandIn, factor: int
) -> None:
    dead = tmp_path / "dead.jsonl"
    producer = Producer(DataStream(kinesis_client(kinesis.endpoint_url), "orders", shards=2))
    with function(Consumer()) as served:
        assert isinstance(served, Consumer)
        config = write_config(
            tmp_path / "esm.yaml",
            kinesis.endpoint_url,
            {"orders": orders(producer.stream, served, dead, parallelization_factor=factor)},
            state={"url": f"sqlite://{tmp_path}/state.db"},
        )
        producer.put(range(10))
        with daemon(config) as first:
            until(lambda: served.done.total() >= 50, "half of the first half done")
            first.signal(signal.SIGTERM)
            assert first.wait() == 0, first.output
        producer.put(range(10, 20))
        with daemon(config) as second:
            until(lambda: served.done.total() >= len(producer.harmless) and dead.exists(), "all done", 40)
            second.signal(signal.SIGTERM)
            assert second.wait() == 0, second.output
        assert served.done == Counter(producer.harmless)
        assert in_order(served.order)
        assert not served.overlaps
        assert 2 <= served.tries <= 10
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
    with function(Consumer()) as served:
        keeps = {"filters": [{"pattern": {"data": {"n": [{"numeric": [">=", 15]}]}}}]}
        mapping = orders(stream, served, tmp_path / "dead.jsonl", filter_criteria=keeps)
        with daemon(write_config(tmp_path / "esm.yaml", kinesis.endpoint_url, {"m": mapping})) as running:
            until(lambda: served.done.total() >= 5, "what matches is done")
            running.signal(signal.SIGTERM)
            assert running.wait() == 0, running.output
    assert sorted(json.loads(body)["n"] for body in served.done.elements()) == [15, 16, 17, 18, 19]
