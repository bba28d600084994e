"""From samples to figures: the steady window of a run, percentiles, medians and ratios. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WINDOW = (0.20, 0.95)  # the part of the deliveries that is measured: without start-up, ramp and tail


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a run: seconds, messages at the target, CPU seconds and bytes of memory."""

    at: float
    delivered: int
    cpu: float
    rss: int
    server_cpu: float
    target_cpu: float
    machine_cpu: float = 0.0


@dataclass(frozen=True, slots=True)
class Steady:
    """What a run cost inside its window; shares are of one core, the machine's of all it has."""

    messages: int
    seconds: float
    per_second: float
    cpu_per_1000: float
    cpu_share: float
    server_share: float
    target_share: float
    machine_share: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank of sorted values; `share` in 0..1."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latency_summary(ages: Sequence[float]) -> dict[str, float]:
    """Milliseconds from ages in seconds; only the count where there are none."""
    ordered = sorted(ages)
    if not ordered:
        return {"count": 0}
    return {
        "count": len(ordered),
        "p50_ms": percentile(ordered, 0.50) * 1000,
        "p99_ms": percentile(ordered, 0.99) * 1000,
        "max_ms": ordered[-1] * 1000,
    }


def steady(samples: Sequence[Sample], total: int, part: tuple[float, float] = WINDOW) -> Steady | None:
    """The window of a run of `total` messages, or None when it was too short to look at twice."""
    low, high = (share * total for share in part)
    inside = [sample for sample in samples if low <= sample.delivered <= high]
    if len(inside) < 2 or inside[-1].delivered == inside[0].delivered:
        return None
    first, last = inside[0], inside[-1]
    messages, seconds = last.delivered - first.delivered, last.at - first.at
    return Steady(
        messages,
        seconds,
        messages / seconds,
        (last.cpu - first.cpu) / messages * 1000,
        (last.cpu - first.cpu) / seconds,
        (last.server_cpu - first.server_cpu) / seconds,
        (last.target_cpu - first.target_cpu) / seconds,
        (last.machine_cpu - first.machine_cpu) / seconds,
    )


def middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def ratio(ours: Sequence[float | None], floor: Sequence[float | None]) -> float | None:
    """The median of the ratios of neighbouring runs: what else the machine did then hits both sides."""
    pairs = zip(ours, floor, strict=True)
    return middle([a / b if a is not None and b else None for a, b in pairs])


def difference(ours: Sequence[float | None], floor: Sequence[float | None]) -> float | None:
    """The median of the differences of neighbouring runs."""
    pairs = zip(ours, floor, strict=True)
    return middle([a - b if a is not None and b is not None else None for a, b in pairs])


def crowded(arrivals: Sequence[float], seconds: float) -> tuple[int, int]:
    """The fewest and the most arrivals in any window of that length that lies within the run; (0, 0) if none does.

    Windows begin at an arrival and are half open, so that a perfect pace gives the same count twice.
    """
    counts, end = [], 0
    for begin, at in enumerate(arrivals):
        if at + seconds > arrivals[-1]:
            break
        while arrivals[end] < at + seconds:
            end += 1
        counts.append(end - begin)
    return (min(counts), max(counts)) if counts else (0, 0)
