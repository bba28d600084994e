"""What the lanes of a log count, for one mapping; the labels are resolved when it is first heard of."""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from esm.core.notice import AGED, EXHAUSTED, TOO_LARGE
from esm.model import Outcome, RebalanceKind
from esm.runtime.happenings import Happening
from esm.runtime.lane_happenings import (
    Bisected,
    Committed,
    DestinationFailed,
    Dropped,
    Rebalanced,
    RecordsLost,
    Retried,
)

_PLAIN: Mapping[str, str] = {
    "esm_checkpoint_writes": "Checkpoints of lanes that were written",
    "esm_bisects": "Failing batches that were split into two",
    "esm_on_failure_destination_delivered_events": "Records given up that a destination took notice of",
    "esm_records_lost": "Records trimmed before they were read; a loss of unknown size adds nothing",
}
_LABELLED: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "esm_retries": (
        "Batches sent again, by how they had ended",
        "reason",
        (Outcome.FUNCTION_ERROR.value, Outcome.TIMEOUT.value, Outcome.PARTIAL.value, "crash"),
    ),
    "esm_dropped_events": (
        "Records given up that no destination knows of, by AWS's condition",
        "reason",
        (EXHAUSTED, AGED, TOO_LARGE),
    ),
    "esm_destination_deliveries": (
        "Notices that a destination was to take, by what came of it",
        "outcome",
        ("delivered", "failed"),
    ),
    "esm_rebalances": (
        "Times that a group gave lanes to us or took them away, by what it did",
        "kind",
        tuple(kind.value for kind in RebalanceKind),
    ),
}


class LaneFamilies:
    """The counters of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.plain = {name: Counter(name, text, ["mapping"], registry=registry) for name, text in _PLAIN.items()}
        self.labelled = {
            name: Counter(name, text, ["mapping", label], registry=registry)
            for name, (text, label, _) in _LABELLED.items()
        }


class LaneCounts:
    """One mapping's counters, from now on shown."""

    def __init__(self, families: LaneFamilies, mapping: str) -> None:
        self._families = families
        self._mapping = mapping
        self._plain = {name: family.labels(mapping) for name, family in families.plain.items()}
        self._labelled = {
            (name, value): family.labels(mapping, value)
            for name, family in families.labelled.items()
            for value in _LABELLED[name][2]
        }

    def count(self, told: Happening) -> None:
        """Adds what happened to a lane; anything else is none of its business."""
        counts = _COUNTS.get(type(told))
        if counts is not None:
            counts(self, told)

    def add(self, name: str, records: int = 1) -> None:
        """To a counter without a further label."""
        self._plain[name].inc(records)

    def add_to(self, name: str, value: str, records: int = 1) -> None:
        """To the counter with this value of its label, which need not be known beforehand."""
        counter = self._labelled.get((name, value))
        if counter is None:
            counter = self._families.labelled[name].labels(self._mapping, value)
            self._labelled[name, value] = counter
        counter.inc(records)

    def remove(self) -> None:
        """Takes them out of the registry."""
        for family in self._families.plain.values():
            family.remove(self._mapping)
        for name, value in self._labelled:
            self._families.labelled[name].remove(self._mapping, value)


def _dropped(counts: LaneCounts, told: Dropped) -> None:
    """AWS's DroppedEventCount leaves out what a destination took."""
    if told.delivered_to is None:
        counts.add_to("esm_dropped_events", told.reason, told.records)
    else:
        counts.add("esm_on_failure_destination_delivered_events", told.records)
        counts.add_to("esm_destination_deliveries", "delivered")


_COUNTS: dict[type[Happening], Callable[[LaneCounts, Any], None]] = {
    Bisected: lambda counts, _: counts.add("esm_bisects"),
    Committed: lambda counts, _: counts.add("esm_checkpoint_writes"),
    DestinationFailed: lambda counts, _: counts.add_to("esm_destination_deliveries", "failed"),
    Dropped: _dropped,
    Rebalanced: lambda counts, told: counts.add_to("esm_rebalances", told.kind),
    RecordsLost: lambda counts, told: counts.add("esm_records_lost", told.records),
    Retried: lambda counts, told: counts.add_to("esm_retries", told.reason),
}
