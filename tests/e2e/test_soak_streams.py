"""A Kinesis stream under load while the engine is killed at random moments and shards split and merge.

`make soak` runs it for two minutes with a seed of its own and shows its table; SOAK_SECONDS and SOAK_SEED set
them.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event

import pytest

from servers import Server
from servers.streams import DataStream, kinesis_client

from .consumer import consumer, kinesis_record, remembering
from .harness import daemon, write_config
from .stream_account import Life, StreamAccount, life, stop
from .stream_load import Load, beside, loading, parents_of

SECONDS = float(os.environ.get("SOAK_SECONDS", "12"))
SEED = int(os.environ.get("SOAK_SEED", "11"))

KEYS = 24
_OPEN_SHARDS = range(2, 6)
_PER_SECOND = 10  # at most, as far as the numbers of a key go
_LONGEST_STALL = 15.0
_REST = 120.0


@dataclass
class Reshaper:
    """Splits and merges the stream's shards by chance until stopped, and counts."""

    stream: DataStream
    chance: Random
    splits: int = 0
    merges: int = 0
    stopped: Event = field(default_factory=Event)

    def run(self) -> None:
        """Merges what has become too many."""
        while not self.stopped.wait(self.chance.uniform(1.0, 4.0)):
            open_ = len(self.stream.open_shards())
            if open_ < _OPEN_SHARDS.stop and (open_ <= _OPEN_SHARDS.start or self.chance.random() < 0.5):
                self.stream.split()
                self.splits += 1
            else:
                self.stream.merge()
                self.merges += 1


@contextmanager
def reshaping(stream: DataStream, chance: Random) -> Iterator[Reshaper]:
    reshaper = Reshaper(stream, chance)
    with beside(reshaper.run):
        try:
            yield reshaper
        finally:
            reshaper.stopped.set()


def _killed(config: Path, chance: Random) -> Life:
    """Killed while it starts, or after a while of work."""
    with daemon(config) as running:
        if chance.random() < 0.8:
            assert running.url
            time.sleep(chance.uniform(0.0, 3.0))
        else:
            time.sleep(chance.uniform(0.0, 1.0))
        running.kill()
        return life(running, killed=True)


def _table(account: StreamAccount, reshaper: Reshaper) -> str:
    again = account.again()
    stall = account.longest_stall()
    rows = {
        "seed": SEED,
        "records": len(account.sent),
        "lost": len(account.lost()),
        "given up": len(account.given_up),
        "came again": f"{again.total()}: {again['restart']} after a kill, {again['retry']} by retries,"
        f" {again['']} without a reason",
        "kills": sum(one.killed for one in account.lives),
        "shards": f"{len({one.lane for one in account.sent})}, by {reshaper.splits} splits"
        f" and {reshaper.merges} merges",
        "longest stall": f"{stall.seconds:.1f} s, with {stall.restarts} restarts in it",
    }
    return "\n".join(f"{name:>14}  {value}" for name, value in rows.items())


@pytest.mark.timeout(SECONDS + _REST + 30)
def test_kills_at_random_moments_lose_nothing_of_a_stream(tmp_path: Path, kinesis_local: Server) -> None:
    print(f"SOAK_SECONDS={SECONDS:g} SOAK_SEED={SEED}")
    chance = Random(SEED)
    stream = DataStream(kinesis_client(kinesis_local.endpoint_url), f"soak-{SEED}", shards=2)
    load = Load(stream, KEYS)
    poison = {f"{key}/{chance.randrange(int(SECONDS * _PER_SECOND / 3))}" for key in chance.sample(load.keys, 3)}
    lives: list[Life] = []
    with consumer(tmp_path / "dead.jsonl", kinesis_record, Random(SEED), poison) as witness:
        orders = witness.mapping(stream.arn, parallelization_factor=2, checkpoint_interval="500ms")
        config = write_config(
            tmp_path / "esm.yaml", kinesis_local.endpoint_url, {"orders": orders}, **remembering(tmp_path)
        )
        deadline = time.monotonic() + SECONDS
        with loading(load), reshaping(stream, Random(SEED)) as reshaper:
            while time.monotonic() < deadline:
                lives.append(_killed(config, chance))
        with daemon(config) as running:
            witness.settles(load.taken)
            lives.append(stop(running))
    account = StreamAccount(load.accepted(), parents_of(stream), witness, lives)
    print(_table(account, reshaper))
    account.balances()
    assert set(account.given_up) == poison & set(load.taken)
    stall = account.longest_stall()
    assert stall.seconds < _LONGEST_STALL * (1 + stall.restarts)
