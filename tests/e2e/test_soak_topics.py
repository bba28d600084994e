"""A topic under load while daemons of its group are killed, held, ended and added, and its three brokers fail.

Chance also says whether order is that of a partition or of a key, and whether members are static. `make soak` runs
it for two minutes with each protocol, with a seed of its own, and shows its tables; SOAK_SECONDS and SOAK_SEED set
them.
"""

import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from servers import KafkaCluster, TopicMaker

from .consumer import Mood, consumer, kafka_record
from .function import Function
from .group_account import GroupAccount
from .scene import GROUP, Scene
from .topic_load import TopicLoad, writing
from .turmoil import Turmoil

SECONDS = float(os.environ.get("SOAK_SECONDS", "15"))
SEED = int(os.environ.get("SOAK_SEED", "2"))

_PARTITIONS = 3
_PER_SECOND = 5  # at least, as far as the numbers of a unit go
_LONGEST_SILENCE = 45.0
_ROUNDS = max(1, round(SECONDS / 30))
_REST = 240.0


def _poison(load: TopicLoad, chance: Random) -> set[str]:
    units = [unit for partition in range(load.partitions) for unit in load.units(partition)]
    return {f"{unit}/{chance.randrange(int(SECONDS * _PER_SECOND))}" for unit in chance.sample(units, 3)}


def _table(account: GroupAccount, turmoil: Turmoil, protocol: str) -> str:
    again = account.again()
    changes = Counter(change.kind for member in account.members.values() for change in member.changes)
    seconds, lane = account.longest_silence()
    options = turmoil.scene.mapping
    rows = {
        "seed": f"{SEED}, {protocol}, {'static' if turmoil.slots else 'dynamic'} members, "
        f"parallelization_factor {options['parallelization_factor']}",
        "records": len(account.sent),
        "lost": len(account.stream.lost()),
        "given up": len(account.stream.given_up),
        "came again": f"{again.total()}: {again['retry']} by retries, {again['kill']} after a kill, "
        f"{again['rebalance']} after a rebalance, {again['']} without a reason",
        "daemons": f"{len(account.members)}, {sum(one.was_killed for one in account.members.values())} killed",
        "happened": ", ".join(f"{count} {what}" for what, count in sorted(turmoil.happened.items())),
        "partitions": f"taken away {changes['revoked']} times, lost {changes['lost']} times",
        "silence": f"{seconds:.1f} s at most, of {lane}",
    }
    return "\n".join(f"{name:>14}  {value}" for name, value in rows.items())


@pytest.mark.timeout(SECONDS + 30 * _ROUNDS + _REST)
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_and_brokers_fail_at_random_and_nothing_of_a_topic_is_lost(
    tmp_path: Path, kafka_cluster: KafkaCluster, make_topic: TopicMaker, protocol: str
) -> None:
    print(f"SOAK_SECONDS={SECONDS:g} SOAK_SEED={SEED}")
    chance = Random(f"{SEED} {protocol}")
    factor, keys = chance.choice([(1, 0), (10, 5)])  # without keys the order is that of the partition
    slots = chance.choice([frozenset[str](), frozenset({"s0", "s1", "s2"})])
    topic = make_topic(kafka_cluster.bootstrap, partitions=_PARTITIONS, replicas=3)
    load = TopicLoad(topic, _PARTITIONS, keys)
    poison = _poison(load, chance)
    with (
        consumer(
            tmp_path / "dead.jsonl",
            kafka_record,
            Random(SEED),
            poison,
            mood=Mood(0.05, slowest=2.0),
            left=Function.failed,
        ) as witness,
        ExitStack() as stack,
    ):
        source = {"group_protocol": protocol, "drain": "3s"}
        mapping = {"parallelization_factor": factor}
        scene = Scene(topic, stack.enter_context(writing(load)), witness, tmp_path, stack, source, mapping)
        turmoil = Turmoil(scene, kafka_cluster, chance, slots)
        for _ in range(_ROUNDS):
            turmoil.run(SECONDS / _ROUNDS)
            scene.flows()  # whatever has happened: in peace no partition is silent
        account = scene.ended()
    print(_table(account, turmoil, protocol))
    account.balances()
    account.finished(topic, GROUP)
    given_up = set(account.stream.given_up)
    assert poison & set(load.taken) <= given_up <= poison | account.cut_off()
    assert account.longest_silence()[0] < _LONGEST_SILENCE
