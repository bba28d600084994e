"""The metrics: all that are promised exist, from 0, with their labels, and say what happened."""

import time
from collections.abc import Sequence

import pytest
from prometheus_client import REGISTRY
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from esm.model import Outcome
from esm.runtime.happenings import (
    Abandoned,
    BackPressure,
    Crashed,
    Deleted,
    Extended,
    Filtered,
    Happening,
    Invoked,
    LetGo,
    MappingState,
    Paused,
    Polled,
    QueueDepth,
    Rejection,
    Released,
    Renewed,
    SourceFailed,
    State,
    to_all,
)
from esm.runtime.status.board import StatusBoard
from esm.runtime.status.values import Live
from esm.telemetry.prometheus import PrometheusObserver

PROMISED = {
    "esm_polled_events_total",
    "esm_invoked_events_total",
    "esm_failed_invoke_events_total",
    "esm_deleted_events_total",
    "esm_invocations_total",
    "esm_invocation_duration_seconds_bucket",
    "esm_batch_records_bucket",
    "esm_event_age_seconds_bucket",
    "esm_concurrency",
    "esm_concurrency_limit",
    "esm_pollers",
    "esm_visibility_extensions_total",
    "esm_source_errors_total",
    "esm_queue_visible",
    "esm_queue_oldest_seconds",
    "esm_mapping_state",
    "esm_loop_lag_seconds",
    "esm_held_bytes",
    "esm_build_info",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "python_info",
}
Sample = tuple[str, frozenset[tuple[str, str]]]


class Shown:
    """A board, its metrics, and a way to read them as a scrape does."""

    def __init__(self) -> None:
        self.board = StatusBoard(lambda: 1_000.0)
        self.observer = PrometheusObserver(self.board, "1.2.3", lambda: 0.25)
        self.tell = to_all([self.board.tell, self.observer.tell])

    def samples(self) -> dict[Sample, float]:
        text = generate_latest(self.observer.registry).decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self.samples().get((name, frozenset(({"mapping": "orders"} | labels).items())))


@pytest.fixture
def shown() -> Shown:
    return Shown()


def call(outcome: Outcome, *, records: int = 10, failed: int = 0) -> Invoked:
    return Invoked(
        "orders",
        batch_id="b1",
        attempt=1,
        records=records,
        failed=failed,
        outcome=outcome,
        ages=(7.0, 0.2),
        duration=0.03,
        why="",
    )


def test_every_promised_metric_is_there(shown: Shown) -> None:
    for told in (Polled("orders", 1, 2.0), QueueDepth("orders", 3, 4), SourceFailed("orders", "denied", "", 1.0)):
        shown.tell(told)
    assert {name for name, _ in shown.samples()} >= PROMISED


def test_everything_starts_at_zero_so_that_rates_see_the_first_event(shown: Shown) -> None:
    shown.tell(State("orders", MappingState.CREATING))
    samples = shown.samples()
    events = [value for (name, _), value in samples.items() if name.startswith("esm_") and "total" in name]
    assert len(events) > 20
    assert set(events) == {0.0}
    for outcome in Outcome:
        assert shown.value("esm_invocations_total", outcome=outcome.value) == 0
    for result in ("extended", "lost", "failed"):
        assert shown.value("esm_visibility_extensions_total", result=result) == 0
    assert shown.value("esm_invocation_duration_seconds_count") == 0


@pytest.mark.parametrize(
    ("told", "name", "labels", "value"),
    [
        ([Polled("orders", 7, 0.1), Polled("orders", 0, 0.0)], "esm_polled_events_total", {}, 7),
        ([call(Outcome.SUCCESS)] * 2, "esm_invoked_events_total", {}, 20),
        ([call(Outcome.SUCCESS)], "esm_failed_invoke_events_total", {}, 0),
        ([call(Outcome.PARTIAL, failed=3)], "esm_failed_invoke_events_total", {}, 3),
        ([call(Outcome.THROTTLED)], "esm_failed_invoke_events_total", {}, 10),
        ([call(Outcome.TIMEOUT)], "esm_invocations_total", {"outcome": "timeout"}, 1),
        ([call(Outcome.TIMEOUT)], "esm_invocations_total", {"outcome": "success"}, 0),
        ([call(Outcome.SUCCESS)], "esm_invocation_duration_seconds_sum", {}, 0.03),
        ([call(Outcome.SUCCESS)], "esm_invocation_duration_seconds_bucket", {"le": "0.025"}, 0),
        ([call(Outcome.SUCCESS)], "esm_invocation_duration_seconds_bucket", {"le": "0.05"}, 1),
        ([call(Outcome.SUCCESS)], "esm_batch_records_bucket", {"le": "10.0"}, 1),
        ([call(Outcome.SUCCESS)], "esm_batch_records_bucket", {"le": "5.0"}, 0),
        ([call(Outcome.SUCCESS)], "esm_event_age_seconds_sum", {}, 7.2),
        ([call(Outcome.SUCCESS)] * 2, "esm_event_age_seconds_count", {}, 4),
        ([call(Outcome.SUCCESS)], "esm_event_age_seconds_bucket", {"le": "0.1"}, 0),
        ([call(Outcome.SUCCESS)], "esm_event_age_seconds_bucket", {"le": "0.25"}, 1),
        ([call(Outcome.SUCCESS)], "esm_event_age_seconds_bucket", {"le": "10.0"}, 2),
        ([call(Outcome.SUCCESS)], "esm_event_age_seconds_bucket", {"le": "+Inf"}, 2),
        ([Deleted("orders", "b", 6, ["x"])], "esm_deleted_events_total", {}, 6),
        ([Deleted("orders", "b", 6, ["x"])], "esm_undeleted_events_total", {}, 1),
        ([Released("orders", 4, "")], "esm_released_events_total", {}, 4),
        ([Renewed("orders", 2)], "esm_renewed_events_total", {}, 2),
        ([Filtered("orders", 3, ["m"]), Filtered("orders", 1, [])], "esm_filtered_out_events_total", {}, 4),
        ([Rejection("orders", "m", "")], "esm_rejected_events_total", {}, 1),
        ([LetGo("orders", "b", 9)], "esm_let_go_events_total", {}, 9),
        ([Abandoned("orders", ["a", "b"])], "esm_abandoned_events_total", {}, 2),
        ([Paused("orders", "b", 9, 1.0)], "esm_held_batches_total", {}, 1),
        ([Crashed("orders", ValueError(), 1.0)], "esm_crashes_total", {}, 1),
        ([Extended("orders", 5, 2, 3)], "esm_visibility_extensions_total", {"result": "extended"}, 5),
        ([Extended("orders", 5, 2, 3)], "esm_visibility_extensions_total", {"result": "lost"}, 2),
        ([Extended("orders", 5, 2, 3)], "esm_visibility_extensions_total", {"result": "failed"}, 3),
        ([SourceFailed("orders", "denied", "", 1.0)] * 2, "esm_source_errors_total", {"error": "denied"}, 2),
        ([BackPressure("orders", "too many")], "esm_source_errors_total", {"error": "OverLimit"}, 1),
        ([State("orders", MappingState.ENABLED)], "esm_mapping_state", {"state": "Enabled"}, 1),
        ([State("orders", MappingState.ENABLED)], "esm_mapping_state", {"state": "Creating"}, 0),
        ([SourceFailed("orders", "denied", "", 1.0)], "esm_mapping_problem", {"blame": "source"}, 1),
        ([call(Outcome.THROTTLED)], "esm_mapping_problem", {"blame": "target"}, 1),
        ([call(Outcome.SUCCESS)], "esm_mapping_problem", {"blame": "target"}, 0),
        ([QueueDepth("orders", 11, 4)], "esm_queue_visible", {}, 11),
        ([QueueDepth("orders", 11, 4)], "esm_queue_in_flight", {}, 4),
        ([Polled("orders", 1, 42.0)], "esm_queue_oldest_seconds", {}, 42),
        ([QueueDepth("orders", None, 0)], "esm_queue_visible", {}, None),
        ([QueueDepth("orders", 0, 0)], "esm_queue_visible", {}, 0),
        ([State("orders", MappingState.ENABLED)], "esm_queue_oldest_seconds", {}, None),
    ],
)
def test_happenings_are_counted(
    shown: Shown, told: Sequence[Happening], name: str, labels: dict[str, str], value: float | None
) -> None:
    for happening in told:
        shown.tell(happening)
    assert shown.value(name, **labels) == value


def test_gauges_are_those_of_the_running_lane_and_zero_without_one(shown: Shown) -> None:
    names = ("esm_concurrency", "esm_concurrency_limit", "esm_pollers", "esm_held_bytes", "esm_gathered_events")
    shown.board.attach("orders", lambda: Live(1, 2, 3, 4, 5))
    assert [shown.value(name) for name in names] == [1, 2, 3, 4, 5]
    shown.board.detach("orders")
    assert [shown.value(name) for name in names] == [0, 0, 0, 0, 0]


def test_a_deleted_mapping_leaves_no_series(shown: Shown) -> None:
    for told in (
        call(Outcome.SUCCESS),
        SourceFailed("orders", "denied", "", 1.0),
        State("mails", MappingState.ENABLED),
    ):
        shown.tell(told)
    shown.tell(State("orders", MappingState.DELETED))
    shown.tell(State("never-there", MappingState.DELETED))
    mappings = {dict(labels).get("mapping") for _, labels in shown.samples()}
    assert mappings == {None, "mails"}
    shown.tell(call(Outcome.SUCCESS))
    assert shown.value("esm_invocations_total", outcome="success") == 1


def test_no_series_tells_when_another_began(shown: Shown) -> None:
    shown.tell(call(Outcome.SUCCESS))
    assert not [name for name, _ in shown.samples() if name.endswith("_created")]


def test_several_engines_in_one_process_share_nothing() -> None:
    one, other = Shown(), Shown()
    one.tell(Polled("orders", 5, 0.1))
    assert other.value("esm_polled_events_total") is None
    assert not [name for name in REGISTRY._names_to_collectors if name.startswith("esm_")]


def test_both_formats_parse_with_awkward_names(shown: Shown) -> None:
    name = 'quo"te\\back\nline ü'
    shown.tell(State(name, MappingState.ENABLED))
    assert ("esm_polled_events_total", frozenset({("mapping", name)})) in shown.samples()
    openmetrics = generate_openmetrics(shown.observer.registry).decode()  # type: ignore[no-untyped-call]
    families = parse_openmetrics(openmetrics)  # type: ignore[no-untyped-call]
    labels = [sample.labels for family in families for sample in family.samples]
    assert {"mapping": name} in labels


def test_facts_about_the_process(shown: Shown) -> None:
    samples = shown.samples()
    assert samples["esm_build_info", frozenset({("version", "1.2.3")})] == 1
    assert samples["esm_loop_lag_seconds", frozenset()] == 0.25


def test_counting_a_call_costs_microseconds(shown: Shown) -> None:
    """A bound against labels being resolved anew for each batch, generous enough for a busy machine."""
    told = call(Outcome.SUCCESS)
    shown.observer.tell(told)

    def cost() -> float:
        began = time.process_time()
        for _ in range(2_000):
            shown.observer.tell(told)
        return (time.process_time() - began) / 2_000

    assert min(cost() for _ in range(5)) < 50e-6
