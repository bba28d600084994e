"""Prometheus metrics: a subscriber to happenings with a registry of its own.

Called once or twice per batch on the hot path, so it only adds to counters whose labels were resolved when
the mapping was first heard of. Nothing is global: several engines in one process do not see each other.
"""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Info, PlatformCollector, ProcessCollector

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
    Rejection,
    Released,
    Renewed,
    SourceFailed,
    State,
)
from esm.runtime.status.board import StatusBoard
from esm.runtime.status.trouble import unsuccessful
from esm.telemetry.gauges import BoardCollector
from esm.telemetry.series import Families, Series


class PrometheusObserver:
    """Subscribes with `tell`; `registry` holds everything that `/metrics` shows.

    `loop_lag` gives seconds, see `LoopLag`.
    """

    def __init__(self, board: StatusBoard, version: str, loop_lag: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._families = Families(self.registry)
        self._series: dict[str, Series] = {}
        self.registry.register(BoardCollector(board))
        Info("esm_build", "The running version", registry=self.registry).info({"version": version})
        lag = Gauge(
            "esm_loop_lag_seconds",
            "Longest delay of the event loop in the last half minute",
            registry=self.registry,
        )
        lag.set_function(loop_lag)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def tell(self, happening: Happening) -> None:
        """Counts what happened; a new mapping gets all its series, the state DELETED takes them away."""
        mapping = happening.mapping
        if isinstance(happening, State) and happening.state is MappingState.DELETED:
            gone = self._series.pop(mapping, None)
            if gone is not None:
                gone.remove()
            return
        series = self._series.get(mapping)
        if series is None:
            series = self._series[mapping] = Series(self._families, mapping)
        count = _COUNTS.get(type(happening))
        if count is not None:
            count(series, happening)
        else:
            series.lanes.count(happening)


def _invoked(series: Series, told: Invoked) -> None:
    series.outcomes[told.outcome].inc()
    series.invoked.inc(told.records)
    series.duration.observe(told.duration)
    series.size.observe(told.records)
    series.ages.observe(told.ages)
    failed = unsuccessful(told)
    if failed:
        series.failed.inc(failed)


def _deleted(series: Series, told: Deleted) -> None:
    series.deleted.inc(told.records)
    if told.undeleted:
        series.undeleted.inc(len(told.undeleted))


def _extended(series: Series, told: Extended) -> None:
    for counter, records in zip(series.extensions, (told.extended, told.lost, told.failed), strict=True):
        counter.inc(records)


_COUNTS: dict[type[Happening], Callable[[Series, Any], None]] = {
    Abandoned: lambda series, told: series.abandoned.inc(len(told.record_ids)),
    BackPressure: lambda series, _: series.source_error("OverLimit").inc(),
    Crashed: lambda series, _: series.crashes.inc(),
    Deleted: _deleted,
    Extended: _extended,
    Filtered: lambda series, told: series.filtered.inc(told.records),
    Paused: lambda series, _: series.held.inc(),
    Invoked: _invoked,
    LetGo: lambda series, told: series.let_go.inc(told.records),
    Polled: lambda series, told: series.polled.inc(told.records),
    Rejection: lambda series, _: series.rejected.inc(),
    Released: lambda series, told: series.released.inc(told.records),
    Renewed: lambda series, told: series.renewed.inc(told.records),
    SourceFailed: lambda series, told: series.source_error(told.code).inc(),
}
