"""A histogram that takes a whole batch at once.

Every record's age counts, and a batch may hold ten thousand: observed one by one in a client library's histogram
they would take longer than the call itself. Here a record costs a search in a short tuple and an addition.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Counted:
    """One mapping's ages: `counts[i]` lie above `bounds[i - 1]` and not above `bounds[i]`, the last above all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, ages: Sequence[float]) -> None:
        """Counts each of `ages`, in seconds."""
        counts, bounds = self.counts, self.bounds
        for age in ages:
            counts[bisect_left(bounds, age)] += 1
        self.total += sum(ages)

    def cumulative(self) -> list[tuple[str, float]]:
        """What Prometheus wants of a histogram: for each bound, how many lie at or below it."""
        at_most, buckets = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), tuple(self.counts), strict=True):
            at_most += count
            buckets.append((bound, float(at_most)))
        return buckets


class Ages(Collector):
    """A histogram with the label `mapping`; rendered off the event loop, so it only reads."""

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._bounds = tuple(map(float, bounds))
        self._of: dict[str, Counted] = {}

    def labels(self, mapping: str) -> Counted:
        """The mapping's own, from now on shown."""
        return self._of.setdefault(mapping, Counted(self._bounds))

    def remove(self, mapping: str) -> None:
        """Not shown any more."""
        self._of.pop(mapping, None)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Called by the registry."""
        family = HistogramMetricFamily(self._name, self._text, labels=["mapping"])
        for mapping, counted in tuple(self._of.items()):
            family.add_metric([mapping], counted.cumulative(), counted.total)
        yield family
