"""A Kinesis stream whose shards are split and merged under load, end to end on a server that does it as AWS does.

The function fails now and then, some records are poison: everything is done or given up, each key in order over
all its shards, and what comes twice was told to be a retry.
"""

from pathlib import Path
from random import Random

import pytest

from servers import Server
from servers.streams import DataStream, kinesis_client

from .consumer import consumer, kinesis_record, remembering
from .harness import Daemon, daemon, until, write_config
from .stream_account import Life, StreamAccount, stop
from .stream_load import Load, loading, parents_of

POISON = ("k3/5", "k7/20", "k11/35")
KEYS = 24


def _lanes(running: Daemon) -> set[str]:
    """Those that any metric has a series of."""
    return {sample.labels["lane"] for sample in running.samples() if "lane" in sample.labels}


@pytest.mark.timeout(120)
def test_keys_keep_their_order_while_shards_split_and_merge(tmp_path: Path, kinesis_local: Server) -> None:
    stream = DataStream(kinesis_client(kinesis_local.endpoint_url), "reshaped-e2e", shards=2)
    lives: list[Life] = []
    load = Load(stream, KEYS)
    with consumer(tmp_path / "dead.jsonl", kinesis_record, Random(5), POISON) as witness:
        journal = witness.journal
        orders = witness.mapping(stream.arn, parallelization_factor=3)
        config = write_config(
            tmp_path / "esm.yaml", kinesis_local.endpoint_url, {"orders": orders}, **remembering(tmp_path)
        )
        with loading(load):
            with daemon(config) as running:
                until(lambda: len(journal.done) > 10 * KEYS, "it works")
                stream.split()
                stream.split()  # the first open shard is a child of the one before
                until(lambda: len(_lanes(running)) == 4, "the parents are finished")
                lives.append(stop(running))
            with daemon(config) as running:
                until(lambda: len(journal.done) > 25 * KEYS, "it works again")
                stream.merge()
                until(lambda: len(load.taken) > 50 * KEYS, "the load goes on")
                load.stop()
                witness.settles(load.taken)
                open_ = {shard["ShardId"] for shard in stream.open_shards()}
                until(lambda: _lanes(running) == open_, "series of open shards, and no others")
                lives.append(stop(running))
    account = StreamAccount(load.accepted(), parents_of(stream), witness, lives)
    account.balances()
    assert set(account.given_up) == set(POISON)
    assert account.again()["retry"] > 0
    assert account.longest_stall().seconds < 20
