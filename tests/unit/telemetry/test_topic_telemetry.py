"""What is told of a topic's group: gauges, counters and lines in the log."""

import io
import json
import time

import pytest
from prometheus_client import CollectorRegistry

from esm.model import RebalanceKind
from esm.runtime.happenings import Remarked
from esm.runtime.lane_happenings import LaneStarted, Rebalanced
from esm.runtime.status.board import StatusBoard
from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.values import Live
from esm.telemetry.gauges import BoardCollector
from esm.telemetry.lane_counts import LaneCounts, LaneFamilies
from esm.telemetry.log_format import logging_to
from esm.telemetry.logs import LogObserver

LANES = {
    "my-topic-3": LaneFigures(at=60, written=49, end=75),
    "my-topic-4": LaneFigures(at=None, written=None, end=5),
    "shard-1": LaneFigures(at=60, written=49),
}


def scraped() -> CollectorRegistry:
    registry = CollectorRegistry()
    board = StatusBoard(time.time)
    registry.register(BoardCollector(board))
    board.attach("m", lambda: Live(lanes=LANES))
    for lane in LANES:
        board.tell(LaneStarted("m", lane, None, careful=False))
    board.tell(Rebalanced("m", RebalanceKind.ASSIGNED, ("my-topic-3", "my-topic-4"), 2))
    return registry


def test_lag_is_counted_from_what_is_committed() -> None:
    registry = scraped()

    def sample(metric: str, partition: str) -> float | None:
        labels = {"mapping": "m", "topic": "my-topic", "partition": partition}
        return registry.get_sample_value(metric, labels)

    assert sample("esm_kafka_lag_records", "3") == 25
    assert sample("esm_kafka_committed_offset", "3") == 50
    assert sample("esm_kafka_lag_records", "4") == 5
    assert sample("esm_kafka_committed_offset", "4") == 0


def test_what_does_not_tell_its_end_is_no_topic() -> None:
    labels = {"mapping": "m", "topic": "shard", "partition": "1"}
    assert scraped().get_sample_value("esm_kafka_lag_records", labels) is None


def test_partitions_that_the_group_gave_us() -> None:
    assert scraped().get_sample_value("esm_assigned_partitions", {"mapping": "m"}) == 2


def test_rebalances_are_counted_by_kind() -> None:
    registry = CollectorRegistry()
    counts = LaneCounts(LaneFamilies(registry), "m")
    for kind in (RebalanceKind.ASSIGNED, RebalanceKind.LOST, RebalanceKind.ASSIGNED):
        counts.count(Rebalanced("m", kind, ("t-0",), 1))
    found = {
        kind: registry.get_sample_value("esm_rebalances_total", {"mapping": "m", "kind": kind})
        for kind in ("assigned", "revoked", "lost")
    }
    assert found == {"assigned": 2, "revoked": 0, "lost": 1}


@pytest.mark.parametrize(
    ("told", "level", "said"),
    [
        (Rebalanced("m", RebalanceKind.REVOKED, ("t-0",), 1), "info", {"lanes": ["t-0"], "ours": 1}),
        (Rebalanced("m", RebalanceKind.LOST, ("t-0",), 0), "warning", {"lanes": ["t-0"], "ours": 0}),
        (Remarked("m", "LATEST is ignored"), "warning", {"reason": "LATEST is ignored"}),
    ],
)
def test_the_log_tells_of_the_group(told: Rebalanced | Remarked, level: str, said: dict[str, object]) -> None:
    stream = io.StringIO()
    with logging_to(stream, "json", "info", lambda: 1_700_000_000.0) as log:
        LogObserver(log, lambda: 0.0).tell(told)
    line = json.loads(stream.getvalue())
    assert line["level"] == level
    assert said.items() <= line.items()


def test_each_rebalance_is_told_however_soon_it_follows() -> None:
    """They explain what came twice."""
    stream = io.StringIO()
    with logging_to(stream, "json", "info", lambda: 1_700_000_000.0) as log:
        observer = LogObserver(log, lambda: 0.0)
        for lane in ("t-0", "t-1"):
            observer.tell(Rebalanced("m", RebalanceKind.LOST, (lane,), 0))
    assert [json.loads(line)["lanes"] for line in stream.getvalue().splitlines()] == [["t-0"], ["t-1"]]
