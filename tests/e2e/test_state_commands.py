"""`esm state` beside a daemon that is stuck: the batch goes to its destination, and everything else is delivered.

The witnesses are outside the engine: what the stream was given, the function's journal, the destination's file.
"""

import json
import signal
from base64 import b64decode
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from servers.streams import DataStream, kinesis_client, kinesis_stand_in

from .function import Answer, Function, function
from .harness import Daemon, daemon, esm, until, write_config

BODIES = [f"record-{number}" for number in range(9)]
POISON = BODIES[4]
HARMLESS = [body for body in BODIES if body != POISON]


class Consumer(Function):
    """Fails each batch that has the poison in it."""

    def called(self, event: dict[str, Any], headers: dict[str, str]) -> Answer:
        found = [b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
        if POISON in found:
            return Answer(500, b"poison")
        self.done.update(found)
        self.order += found
        return Answer()


class State:
    """The commands, at one configuration."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def said(self, command: str, *arguments: str) -> str:
        """What a command says that does what it should."""
        ended = esm("state", command, "--config", self.config, *arguments)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    def refused(self, command: str, *arguments: str) -> str:
        ended = esm("state", command, "--config", self.config, *arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        return ended.stderr

    def failing(self, lane: str) -> list[dict[str, Any]]:
        """The batches that a lane is stuck at."""
        rows = json.loads(self.said("list", "orders", "--json"))["rows"]
        checkpoints = [row["checkpoint"] for row in rows if row["lane"] == lane and row["checkpoint"]]
        return [part for checkpoint in checkpoints for part in checkpoint["parts"] if part["attempts"]]


def stop(running: Daemon) -> None:
    running.signal(signal.SIGTERM)
    assert running.wait() == 0, running.output


@pytest.mark.timeout(180)
def test_a_stuck_batch_is_skipped_beside_the_daemon_and_a_stopped_lane_is_moved(tmp_path: Path) -> None:
    dead = tmp_path / "dead.jsonl"
    with kinesis_stand_in() as kinesis, function(Consumer()) as served:
        stream = DataStream(kinesis_client(kinesis.endpoint_url), "orders")
        lane = str(stream.open_shards()[0]["ShardId"])
        for body in BODIES:
            stream.put(1, "k", body.encode())
        mapping = {
            "source": stream.arn,
            "target": served.url,
            "starting_position": "TRIM_HORIZON",
            "batch_size": 1,
            "destination_config": {"on_failure": {"destination": f"file://{dead}", "annotate": True}},
        }
        kept = {"url": f"sqlite://{tmp_path}/state.db"}
        state = State(write_config(tmp_path / "esm.yaml", kinesis.endpoint_url, {"orders": mapping}, state=kept))
        with daemon(state.config) as running:
            assert running.url
            until(lambda: state.failing(lane), "stuck, and written down")
            assert "is in use by an engine" in state.refused("seek", "orders", lane, "--to", "horizon", "--yes")
            assert f"goes to file://{dead}" in state.said("skip", "orders", lane)
            until(lambda: served.done.total() == len(HARMLESS), "all but the poison done", 90)
            until(lambda: not state.failing(lane), "nothing failing any more")
            stop(running)
        assert served.order == HARMLESS
        (notice,) = [json.loads(line) for line in dead.read_text().splitlines()]
        assert notice["requestContext"]["condition"] == "RetryAttemptsExhausted"
        assert [b64decode(each["kinesis"]["data"]).decode() for each in notice["esm"]["records"]] == [POISON]
        state.said("seek", "orders", lane, "--to", notice["KinesisBatchInfo"]["endSequenceNumber"])
        with daemon(state.config) as again:
            until(lambda: served.done.total() == len(HARMLESS) + 4, "what is behind the poison done again")
            stop(again)
        assert served.order == HARMLESS + BODIES[5:]
        assert served.done == Counter(HARMLESS) + Counter(BODIES[5:])
