"""What a scenario found that only the engine runs: figures, verdicts, and a picture where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.gates import Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """`about` says the load in a few words; `chart` is for the terminal, `svg` the same curve for a page."""

    about: str
    figures: Mapping[str, float]
    verdicts: Sequence[Verdict]
    chart: str = ""
    svg: str = ""
