"""The states of a log's lanes, read off the status board at each scrape: a lane that ended is gone from here."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from esm.runtime.status.figures import LaneFigures
from esm.runtime.status.values import LaneState, LaneStatus, MappingStatus

_FIGURES: dict[str, tuple[str, Callable[[LaneFigures], float | None]]] = {
    "esm_iterator_age_seconds": (
        "Age of the oldest record of the lane that was read and is not finished, 0 if there is none",
        lambda seen: seen.age,
    ),
    "esm_behind_latest_seconds": (
        "How far the last read was from the end of the lane, as the source says",
        lambda seen: seen.behind,
    ),
}
_OFFSETS: dict[str, tuple[str, Callable[[LaneFigures], int | None]]] = {
    "esm_kafka_lag_records": (
        "Offsets between what is committed of the partition and its end",
        lambda seen: seen.lag,
    ),
    "esm_kafka_committed_offset": (
        "The offset that is committed of the partition, which is where it would go on",
        lambda seen: None if seen.end is None else seen.committed,
    ),
}


def lane_families(seen: Mapping[str, MappingStatus]) -> Iterable[Metric]:
    """With the labels `mapping` and `lane`; no sample where a lane does not tell."""
    lanes = [(mapping, name, lane) for mapping, status in seen.items() for name, lane in status.lanes.items()]
    for metric, (text, figure) in _FIGURES.items():
        family = GaugeMetricFamily(metric, text, labels=["mapping", "lane"])
        for mapping, name, lane in lanes:
            value = figure(lane.figures) if lane.state not in {LaneState.LOST, LaneState.OPENING} else None
            if value is not None:
                family.add_metric([mapping, name], value)
        yield family
    yield from _offsets(lanes)
    yield _states(lanes)


def _offsets(lanes: Sequence[tuple[str, str, LaneStatus]]) -> Iterable[Metric]:
    """Of those whose source tells where they end; a lane is named after its topic and its number."""
    for metric, (text, figure) in _OFFSETS.items():
        family = GaugeMetricFamily(metric, text, labels=["mapping", "topic", "partition"])
        for mapping, name, lane in lanes:
            value = None if lane.state is LaneState.LOST else figure(lane.figures)
            if value is not None:
                topic, _, partition = name.rpartition("-")
                family.add_metric([mapping, topic, partition], value)
        yield family


def _states(lanes: Iterable[tuple[str, str, LaneStatus]]) -> Metric:
    family = GaugeMetricFamily(
        "esm_lane_state",
        "1 for the state that the lane is in, 0 for the others",
        labels=["mapping", "lane", "state"],
    )
    for mapping, name, lane in lanes:
        for state in LaneState:
            family.add_metric([mapping, name, state.value], float(lane.state is state))
    return family
