"""The metrics of a log's lanes: counted from 0, shown while the lane is there, gone with it."""

from collections.abc import Sequence

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from esm.runtime.happenings import Happening, MappingState, State, to_all
from esm.runtime.lane_happenings import (
    Bisected,
    Committed,
    DestinationFailed,
    Dropped,
    LaneLost,
    RecordsLost,
    Retried,
)
from esm.runtime.status.board import StatusBoard
from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.values import Live
from esm.telemetry.prometheus import PrometheusObserver

FAILED = DestinationFailed("stream", "s-1", "dlq", 3, "denied", 1.0)
TOLD = Dropped("stream", "s-1", 3, "RetryAttemptsExhausted", "dlq")
UNTOLD = Dropped("stream", "s-1", 4, "RecordAgeExceeded", None)
DELIVERED = "esm_on_failure_destination_delivered_events_total"


class Scraped:
    """A board, its metrics, and a way to read them as a scrape does."""

    def __init__(self) -> None:
        self.board = StatusBoard(lambda: 1_000.0)
        self.observer = PrometheusObserver(self.board, "1", lambda: 0.0)
        self.tell = to_all([self.board.tell, self.observer.tell])

    def all(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        text = generate_latest(self.observer.registry).decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self.all().get((name, frozenset(({"mapping": "stream"} | labels).items())))

    def states(self, lane: str) -> list[str]:
        """Those that are 1."""
        labels = [
            dict(labels) for (name, labels), value in self.all().items() if name == "esm_lane_state" and value
        ]
        return [each["state"] for each in labels if each["lane"] == lane]


@pytest.fixture
def scraped() -> Scraped:
    return Scraped()


@pytest.mark.parametrize(
    ("told", "name", "labels", "value"),
    [
        ([Committed("stream", "s-1", 5, 0, 0)] * 2, "esm_checkpoint_writes_total", {}, 2),
        ([Bisected("stream", "s-1", "b", 10)], "esm_bisects_total", {}, 1),
        ([Retried("stream", "s-1", "b", 9, "timeout", 1, 1.0)], "esm_retries_total", {"reason": "timeout"}, 1),
        ([Retried("stream", "s-1", "", 9, "crash", 1, 0.0)], "esm_retries_total", {"reason": "crash"}, 1),
        ([TOLD, UNTOLD], "esm_dropped_events_total", {"reason": "RetryAttemptsExhausted"}, 0),
        ([TOLD, UNTOLD], "esm_dropped_events_total", {"reason": "RecordAgeExceeded"}, 4),
        ([TOLD, UNTOLD], DELIVERED, {}, 3),
        ([FAILED, TOLD, UNTOLD], "esm_destination_deliveries_total", {"outcome": "delivered"}, 1),
        ([FAILED, FAILED, TOLD], "esm_destination_deliveries_total", {"outcome": "failed"}, 2),
        ([RecordsLost("stream", "s-1", 7), RecordsLost("stream", "s-1", 0)], "esm_records_lost_total", {}, 7),
    ],
)
def test_what_happens_in_lanes_is_counted(
    scraped: Scraped, told: Sequence[Happening], name: str, labels: dict[str, str], value: float
) -> None:
    scraped.tell(State("stream", MappingState.ENABLED))
    assert scraped.value(name, **labels) == 0
    for happening in told:
        scraped.tell(happening)
    assert scraped.value(name, **labels) == value


def test_gauges_of_a_lane_are_there_as_long_as_it_is(scraped: Scraped) -> None:
    lanes = {"s-1": LaneFigures(behind=30.0, age=12.5, attempts=2), "s-2": LaneFigures()}
    scraped.board.attach("stream", lambda: Live(lanes=lanes))
    assert scraped.value("esm_iterator_age_seconds", lane="s-1") == 12.5
    assert scraped.value("esm_behind_latest_seconds", lane="s-1") == 30
    assert scraped.value("esm_iterator_age_seconds", lane="s-2") == 0
    assert scraped.value("esm_behind_latest_seconds", lane="s-2") is None
    assert (scraped.states("s-1"), scraped.states("s-2")) == (["Retrying"], ["Reading"])
    assert scraped.value("esm_lane_state", lane="s-1", state="Stalled") == 0
    del lanes["s-1"]
    assert {dict(labels)["lane"] for _, labels in scraped.all() if "lane" in dict(labels)} == {"s-2"}
    scraped.board.detach("stream")
    assert not [labels for _, labels in scraped.all() if "lane" in dict(labels)]


def test_a_lane_that_somebody_else_writes_has_a_state_but_no_figures(scraped: Scraped) -> None:
    scraped.tell(LaneLost("stream", "s-1", 10.0))
    assert scraped.states("s-1") == ["Lost"]
    assert scraped.value("esm_iterator_age_seconds", lane="s-1") is None


def test_a_deleted_mapping_leaves_nothing_of_its_lanes(scraped: Scraped) -> None:
    scraped.board.attach("stream", lambda: Live(lanes={"s-1": LaneFigures()}))
    for told in (TOLD, UNTOLD, FAILED, Retried("stream", "s-1", "b", 1, "unheard-of", 1, 1.0)):
        scraped.tell(told)
    assert scraped.value("esm_retries_total", reason="unheard-of") == 1
    scraped.tell(State("stream", MappingState.DELETED))
    assert not [labels for _, labels in scraped.all() if dict(labels).get("mapping") == "stream"]
