"""What a stream's mapping needs is away for a while: the server, the state file, the destination.

Its lanes wait and say so, in status and metrics; when it is back they go on by themselves, and nothing was lost.
"""

import json
import resource
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from servers import KINESIS_KEPT, Server
from servers.streams import DataStream, kinesis_client

from .consumer import Consumer, Mood, consumer, kinesis_record, remembering
from .harness import Daemon, daemon, until, write_config
from .relay import relay
from .stream_account import Life, StreamAccount, life, stop
from .stream_load import Load, loading, parents_of

KEYS = 12


POISON = "k3/2"
BEHIND_IT = "k3/3"


class Scene:
    """A stream with two shards to put load on, and who consumes it."""

    def __init__(self, endpoint_url: str, folder: Path, witness: Consumer) -> None:
        self.folder = folder
        self.stream = DataStream(kinesis_client(endpoint_url), folder.name[:100], shards=2)
        self.load = Load(self.stream, KEYS)
        self.witness = witness
        self.lives: list[Life] = []

    @property
    def done(self) -> set[str]:
        return set(self.witness.journal.done)

    def config(self, endpoint_url: str, **options: Any) -> Path:
        orders = self.witness.mapping(self.stream.arn, checkpoint_interval="200ms", **options)
        return write_config(self.folder / "esm.yaml", endpoint_url, {"orders": orders}, **remembering(self.folder))

    def flows(self) -> None:
        """Waits until everything that was put by now is done, and more."""
        before = set(self.load.taken) - {POISON}
        until(lambda: before < self.done, "it works")

    def account(self) -> StreamAccount:
        return StreamAccount(self.load.accepted(), parents_of(self.stream), self.witness, self.lives)


def _stalled(running: Daemon, text: str, lanes: int) -> None:
    """At least so many lanes are stalled for that reason, and whoever looks can see it."""

    def stalled() -> int:
        return sum(text in lane["stalled"] for lane in running.status("orders")["lanes"].values())

    until(lambda: stalled() >= lanes, f"{lanes} lanes are stalled: {text}")
    assert running.status("orders")["last_processing_result"].startswith("PROBLEM: ")
    assert running.metric("esm_mapping_problem", mapping="orders", blame="stall") == 1
    states = [sample for sample in running.samples() if sample.name == "esm_lane_state"]
    assert sum(sample.value for sample in states if sample.labels["state"] == "Stalled") >= lanes


def _well(running: Daemon) -> None:
    until(lambda: running.status("orders")["last_processing_result"] == "OK", "it is well again")
    assert not any(lane["stalled"] for lane in running.status("orders")["lanes"].values())
    assert running.metric("esm_mapping_problem", mapping="orders", blame="stall") == 0


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Consumer]:
    """Nothing fails at it."""
    with consumer(tmp_path / "dead.jsonl", kinesis_record, Random(1), mood=Mood(rate=0.0)) as serving:
        yield serving


@pytest.mark.timeout(90)
def test_outages_of_kinesis_cost_nothing(tmp_path: Path, own_kinesis_server: Server, witness: Consumer) -> None:
    """First nobody answers while records are still put, then the server is killed and comes back."""
    scene = Scene(own_kinesis_server.endpoint_url, tmp_path, witness)
    with relay(own_kinesis_server.endpoint_url) as between, daemon(scene.config(between.url)) as running:
        with loading(scene.load):
            scene.flows()
            between.away.set()
            _problem(running)
            between.away.clear()
            scene.flows()
        _settle(own_kinesis_server, scene)
        own_kinesis_server.kill()
        _problem(running)
        own_kinesis_server.start()
        with loading(scene.load):
            scene.flows()
        scene.witness.settles(scene.load.taken)
        _well(running)
        scene.lives.append(stop(running))
    account = scene.account()
    account.balances()
    assert account.again().total() == 0


def _problem(running: Daemon) -> None:
    """An answer that was under way may end it once more."""

    def shown() -> bool:
        result = str(running.status("orders")["last_processing_result"])
        blamed = running.metric("esm_mapping_problem", mapping="orders", blame="source")
        return result.startswith("PROBLEM: ") and blamed == 1

    until(shown, "it shows its problem")
    assert running.get("/healthz")


def _settle(server: Server, scene: Scene) -> None:
    """Until the server has just written down all that was put: then it has a second before it does so again."""
    kept = server.scratch / KINESIS_KEPT
    last = [b64encode(body.encode()) for body in list(scene.load.taken)[-KEYS:]]
    before = kept.stat().st_mtime_ns

    def is_kept() -> bool:
        if kept.stat().st_mtime_ns == before:
            return False
        text = kept.read_bytes()
        with suppress(ValueError):  # half of it
            json.loads(text)
            return all(each in text for each in last)
        return False

    until(is_kept, "everything is kept")


@pytest.mark.timeout(90)
def test_a_state_file_that_cannot_be_written_stalls_and_loses_nothing(
    tmp_path: Path, kinesis_local: Server, witness: Consumer
) -> None:
    """Locked by another process, then on a full disk, then killed while that lasts."""
    scene = Scene(kinesis_local.endpoint_url, tmp_path, witness)
    config = scene.config(kinesis_local.endpoint_url)
    with loading(scene.load):
        with daemon(config) as running:
            scene.flows()
            with _locked(tmp_path / "state.db"):
                _stalled(running, "another process keeps it locked", lanes=1)
            _well(running)
            scene.flows()
            with _full_disk(running):
                _stalled(running, "the disk", lanes=2)
                _nothing_is_begun(scene)
            _well(running)
            scene.flows()
            with _full_disk(running):
                _stalled(running, "the disk", lanes=1)
                running.kill()
            scene.lives.append(life(running, killed=True))
        with daemon(config) as running:
            scene.flows()
            scene.load.stop()
            scene.witness.settles(scene.load.taken)
            scene.lives.append(stop(running))
    scene.account().balances()


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    with closing(sqlite3.connect(state, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _full_disk(running: Daemon) -> Iterator[None]:
    """For this process, its log included: it may write to no file any more."""
    before = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    if running.process.returncode is None:
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, before)


def _nothing_is_begun(scene: Scene) -> None:
    """Each call would be one more duplicate after a crash."""
    calls, put = len(scene.witness.served.calls), len(scene.load.taken)
    until(lambda: len(scene.load.taken) > put + 5 * KEYS, "the load goes on")
    assert len(scene.witness.served.calls) == calls


@pytest.mark.timeout(90)
def test_a_destination_that_is_away_stalls_its_lane_and_skips_nothing(
    tmp_path: Path, kinesis_local: Server
) -> None:
    """Its directory is not there, as if a volume had not been mounted; meanwhile the engine is killed."""
    dead = tmp_path / "volume" / "dead.jsonl"
    with consumer(dead, kinesis_record, Random(1), [POISON], mood=Mood(rate=0.0)) as witness:
        scene = Scene(kinesis_local.endpoint_url, tmp_path, witness)
        config = scene.config(kinesis_local.endpoint_url, maximum_retry_attempts=0, batch_size=5)
        with loading(scene.load):
            with daemon(config) as running:
                _stalled(running, "no destination takes what was given up", lanes=1)
                done = len(scene.done)
                until(lambda: len(scene.done) > done + KEYS, "the other lane goes on")
                assert BEHIND_IT not in scene.done
                running.kill()
                scene.lives.append(life(running, killed=True))
            tries = len(witness.journal.of(POISON))
            dead.parent.mkdir()
            with daemon(config) as running:
                scene.flows()
                scene.load.stop()
                witness.settles(scene.load.taken)
                _well(running)
                scene.lives.append(stop(running))
    account = scene.account()
    account.balances()
    assert set(account.given_up) == {POISON}
    assert len(witness.journal.of(POISON)) == tries, "the function is not asked again"
