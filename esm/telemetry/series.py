"""The counters and histograms, and the ones of a single mapping with their labels resolved once.

Every series exists from the first moment of its mapping, at 0: `rate()` cannot see the step from nothing to 1.
Counters are named after AWS's event source mapping metrics
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html).
"""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from esm.model import Outcome
from esm.telemetry.ages import Ages
from esm.telemetry.lane_counts import LaneCounts, LaneFamilies

COUNTERS: Mapping[str, str] = {
    "esm_polled_events": "Records read from the source",
    "esm_filtered_out_events": "Records that no filter let pass: deleted, never sent",
    "esm_invoked_events": "Records sent to the target, again with every attempt",
    "esm_failed_invoke_events": "Records sent in vain: the call was refused or failed, or they were reported",
    "esm_deleted_events": "Records deleted from the source after they were processed",
    "esm_undeleted_events": "Processed records that could not be deleted; they will be delivered again",
    "esm_released_events": "Records given back to the source without having been sent",
    "esm_renewed_events": "Records received again while they were held",
    "esm_rejected_events": "Records too large to be sent at all, left to the source",
    "esm_let_go_events": "Records refused by the target for too long, left to the source",
    "esm_abandoned_events": "Records held when their lane ended; they come back after their timeout",
    "esm_held_batches": "Pauses of refused batches before they were sent again",
    "esm_crashes": "Lanes or mappings that ended with an internal error and were started again",
}
EXTENSIONS = ("extended", "lost", "failed")

# One millisecond to the 15 minutes that a function may take, and ages up to SQS's retention of 14 days.
_DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
_AGES = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400, 345_600)


# They are a third of what is scraped, and no query asks when a series began.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Families:
    """Every counter and histogram of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.counters = {
            name: Counter(name, text, ["mapping"], registry=registry) for name, text in COUNTERS.items()
        }
        self.invocations = Counter(
            "esm_invocations", "Calls of the target", ["mapping", "outcome"], registry=registry
        )
        self.extensions = Counter(
            "esm_visibility_extensions",
            "Records whose visibility was to be extended, by what came of it",
            ["mapping", "result"],
            registry=registry,
        )
        self.source_errors = Counter(
            "esm_source_errors", "Times the source could not be used", ["mapping", "error"], registry=registry
        )
        self.durations = Histogram(
            "esm_invocation_duration_seconds",
            "Time the target took, refusals included",
            ["mapping"],
            buckets=_DURATIONS,
            registry=registry,
        )
        self.sizes = Histogram(
            "esm_batch_records", "Records of one call", ["mapping"], buckets=_RECORDS, registry=registry
        )
        self.ages = Ages("esm_event_age_seconds", "Age of a record when it was handed to the target", _AGES)
        registry.register(self.ages)
        self.lanes = LaneFamilies(registry)


class Series:
    """One mapping's series."""

    def __init__(self, families: Families, mapping: str) -> None:
        self._families = families
        self._mapping = mapping
        self._errors: dict[str, Counter] = {}
        counter = {name: family.labels(mapping) for name, family in families.counters.items()}
        self.polled = counter["esm_polled_events"]
        self.filtered = counter["esm_filtered_out_events"]
        self.invoked = counter["esm_invoked_events"]
        self.failed = counter["esm_failed_invoke_events"]
        self.deleted = counter["esm_deleted_events"]
        self.undeleted = counter["esm_undeleted_events"]
        self.released = counter["esm_released_events"]
        self.renewed = counter["esm_renewed_events"]
        self.rejected = counter["esm_rejected_events"]
        self.let_go = counter["esm_let_go_events"]
        self.abandoned = counter["esm_abandoned_events"]
        self.held = counter["esm_held_batches"]
        self.crashes = counter["esm_crashes"]
        self.outcomes = {outcome: families.invocations.labels(mapping, outcome.value) for outcome in Outcome}
        self.extensions = [families.extensions.labels(mapping, result) for result in EXTENSIONS]
        self.duration = families.durations.labels(mapping)
        self.size = families.sizes.labels(mapping)
        self.ages = families.ages.labels(mapping)
        self.lanes = LaneCounts(families.lanes, mapping)

    def source_error(self, code: str) -> Counter:
        """The counter of one error code; codes are few but not known beforehand."""
        if code not in self._errors:
            self._errors[code] = self._families.source_errors.labels(self._mapping, code)
        return self._errors[code]

    def remove(self) -> None:
        """Takes every series of the mapping out of the registry."""
        families, mapping = self._families, self._mapping
        for family in (*families.counters.values(), families.durations, families.sizes):
            family.remove(mapping)
        families.ages.remove(mapping)
        self.lanes.remove()
        for outcome in Outcome:
            families.invocations.remove(mapping, outcome.value)
        for result in EXTENSIONS:
            families.extensions.remove(mapping, result)
        for code in self._errors:
            families.source_errors.remove(mapping, code)
