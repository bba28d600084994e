"""A DynamoDB table end to end, followed by its name and by the ARN of its stream, on two servers.

Both mappings have a function that fails now and then, a filter, poison and a destination. Everything that passes
the filter is done or given up, in the order of each item, over a stop, and over a stream that is made anew.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from servers import MOTO, Server
from servers.tables import Table

from .consumer import Consumer, consumer, dynamodb_record, remembering
from .harness import Daemon, daemon, until, write_config
from .stream_account import Accepted, StreamAccount, stop

KEYS = [f"k{number}" for number in range(6)]
POISON = "k2/MODIFY 3>4"
_KEPT = {"dynamodb": {"Keys": {"id": {"S": [{"anything-but": {"prefix": "skip"}}]}}}}
_OPTIONS = {"batch_size": 10, "parallelization_factor": 2, "filter_criteria": {"filters": [{"pattern": _KEPT}]}}


def _change(table: Table, numbers: range) -> list[str]:
    """Puts, changes and removes every item in turn; returns what the stream has to hold of the kept ones."""
    bodies = []
    for number in numbers:
        bodies += [f"{key}/{_changed(table, key, number)}" for key in KEYS]
        _changed(table, "skipped", number)
    return bodies


def _changed(table: Table, key: str, number: int) -> str:
    if number % 3 == 2:
        table.remove(key)
        return f"REMOVE {number - 1}>"
    table.put(key, number)
    return f"INSERT >{number}" if number % 3 == 0 else f"MODIFY {number - 1}>{number}"


def _accepted(table: Table, arn: str) -> list[Accepted]:
    """What the stream holds that passes the filter, in its order."""
    label = arn.partition("/stream/")[2]
    return [
        Accepted(message.body, f"{label}/{shard}", int(message.id))
        for shard, record in table.contents(arn)
        for message in [dynamodb_record(record)]
        if not message.body.startswith("skipped")
    ]


def _parents(sent: list[Accepted]) -> dict[str, list[str]]:
    """Before each lane come all that were listed before it."""
    lanes = list(dict.fromkeys(one.lane for one in sent))
    return {lane: lanes[:index] for index, lane in enumerate(lanes)}


@pytest.fixture
def followers(tmp_path: Path) -> Iterator[dict[str, Consumer]]:
    """Of a mapping by table, and of one by ARN."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(consumer(tmp_path / f"{name}.jsonl", dynamodb_record, Random(2), [POISON]))
            for name in ("table", "arn")
        }


def _lanes(running: Daemon, mapping: str) -> set[str]:
    return set(running.status(mapping)["lanes"])


@pytest.mark.timeout(120)
def test_a_table_is_followed_over_a_stop_and_a_new_stream(
    tmp_path: Path, dynamodb_server: Server, followers: dict[str, Consumer]
) -> None:
    table, lives = Table(dynamodb_server.endpoint_url), []
    by_table, by_arn = followers["table"], followers["arn"]
    config = write_config(
        tmp_path / "esm.yaml",
        dynamodb_server.endpoint_url,
        {
            "table": by_table.mapping({"type": "dynamodb", "table": table.name}, **_OPTIONS),
            "arn": by_arn.mapping({"type": "dynamodb", "stream": table.arn}, **_OPTIONS),
        },
        **remembering(tmp_path),
    )
    changes = _change(table, range(8))
    with daemon(config) as running:
        until(lambda: all(len(each.journal.done) > 20 for each in followers.values()), "both work")
        lives.append(stop(running))
    changes += _change(table, range(8, 15))
    with daemon(config) as running:
        until(lambda: all(each.has(changes) for each in followers.values()), "all is done")
        old, new = _accepted(table, table.arn), []
        if dynamodb_server.name != MOTO.name:  # which cannot tell any more of a stream that is switched off
            arn = table.new_stream()
            again = _change(table, range(15, 21))
            until(lambda: by_table.has(again), "the new stream is followed")
            until(lambda: not _lanes(running, "arn"), "the old stream has ended")
            new = _accepted(table, arn)
            assert _lanes(running, "table") == {one.lane for one in new}
            assert [one.body for one in new] == again
        assert running.status("arn")["last_processing_result"] == "OK"
        lives.append(stop(running))
    assert [one.body for one in old] == changes
    for follower, sent in ((by_table, [*old, *new]), (by_arn, old)):
        account = StreamAccount(sent, _parents(sent), follower, lives)
        account.balances()
        assert set(account.given_up) == {POISON}
        assert account.again()["retry"] > 0
