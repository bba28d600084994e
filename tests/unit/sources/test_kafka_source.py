"""What a consumer is told to be, for what only shows after seconds or in a crowd."""

from typing import Any

import pytest

from esm.plugins import SourceContext
from esm.sources.kafka import PLUGIN, KafkaSource
from esm.sources.kafka.event import Envelope
from esm.sources.kafka.membership import GroupMembership
from esm.world import real_world


def source(**options: Any) -> KafkaSource:
    given = {"bootstrap_servers": "b:1", "topic": "t", "consumer_group_id": "g", **options}
    context = SourceContext("m", {}, 0, real_world(), starting_position="LATEST")
    made = PLUGIN.make(PLUGIN.options.model_validate(given), context)
    assert isinstance(made, KafkaSource)
    return made


def test_the_thread_waits_for_longer_than_lanes_may_drain() -> None:
    """Otherwise what they finish at the last moment could not be committed."""
    membership = GroupMembership(Envelope("b:1", "t"), real_world(), lambda what, *given: None, patience=1.0)
    assert source(drain=200)._poller({}, membership)._patience > 200


@pytest.mark.parametrize(
    ("protocol", "strategy"), [("classic", "cooperative-sticky"), ("consumer", None)]
)  # with the newer protocol brokers decide
def test_partitions_stay_where_they_are_when_members_come(protocol: str, strategy: str | None) -> None:
    settings = source(group_protocol=protocol)._of_the_group()
    assert settings.get("partition.assignment.strategy") == strategy
