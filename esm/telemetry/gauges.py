"""The metrics that are states, not events: read off the status board at each scrape.

Nothing keeps them up to date between two scrapes, and a mapping that is gone from the board is gone from here.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from esm.runtime.status.board import StatusBoard
from esm.runtime.status.trouble import Blame
from esm.runtime.status.values import STATES, Live, MappingStatus
from esm.telemetry.lane_gauges import lane_families

_STOPPED = Live()
_LIVE: dict[str, tuple[str, Callable[[Live], int]]] = {
    "esm_concurrency": ("Batches in flight", lambda live: live.concurrency),
    "esm_concurrency_limit": ("Batches that may be in flight now", lambda live: live.concurrency_limit),
    "esm_pollers": ("Receive loops that read the source", lambda live: live.pollers),
    "esm_held_bytes": ("Bytes of records held in memory", lambda live: live.held_bytes),
    "esm_gathered_events": ("Records held that were not sent yet", lambda live: live.gathered),
    "esm_circuit_open": (
        "1 while the target is left alone but for probes, because it refused every call",
        lambda live: int(live.circuit_open),
    ),
}
_TOLD: dict[str, tuple[str, Callable[[MappingStatus], float | None]]] = {
    "esm_queue_visible": ("Messages that wait in the queue, as it says", lambda seen: seen.depth.visible),
    "esm_queue_in_flight": (
        "Messages of the queue that a consumer holds, as it says",
        lambda seen: seen.depth.in_flight,
    ),
    "esm_queue_oldest_seconds": (
        "Age of the oldest message of the last read; grows while messages are held",
        lambda seen: seen.depth.oldest,
    ),
    "esm_assigned_partitions": (
        "Partitions of the topic that the consumer group has given to this process",
        lambda seen: seen.assigned,
    ),
}


class BoardCollector(Collector):
    """Turns the board into gauges with the label `mapping`."""

    def __init__(self, board: StatusBoard) -> None:
        self._board = board

    def collect(self) -> Iterable[Metric]:
        """May run outside the event loop's thread, see `StatusBoard`."""
        return _families(self._board.mappings())

    def describe(self) -> Iterable[Metric]:
        """The names alone, so that the registry finds them by name and refuses a second use."""
        return _families({})


def _families(seen: Mapping[str, MappingStatus]) -> Iterable[Metric]:
    yield _state(seen)
    yield _problem(seen)
    for name, (text, figure) in _LIVE.items():
        family = GaugeMetricFamily(name, text, labels=["mapping"])
        for mapping, status in seen.items():
            family.add_metric([mapping], figure(status.live or _STOPPED))
        yield family
    yield from _as_told(seen)
    yield from lane_families(seen)


def _state(seen: Mapping[str, MappingStatus]) -> Metric:
    family = GaugeMetricFamily(
        "esm_mapping_state",
        "1 for the state that the mapping is in, 0 for the others",
        labels=["mapping", "state"],
    )
    for mapping, status in seen.items():
        for state in STATES:
            family.add_metric([mapping, state.value], float(status.state is state))
    return family


def _problem(seen: Mapping[str, MappingStatus]) -> Metric:
    family = GaugeMetricFamily(
        "esm_mapping_problem",
        "1 while the last processing result is a PROBLEM, by whose it is",
        labels=["mapping", "blame"],
    )
    for mapping, status in seen.items():
        for blame in Blame:
            family.add_metric([mapping, blame.value], float(status.blame is blame))
    return family


def _as_told(seen: Mapping[str, MappingStatus]) -> Iterable[Metric]:
    """No sample where the source does not tell: 0 would say that it is empty."""
    for name, (text, figure) in _TOLD.items():
        family = GaugeMetricFamily(name, text, labels=["mapping"])
        for mapping, status in seen.items():
            value = figure(status)
            if value is not None:
                family.add_metric([mapping], value)
        yield family
