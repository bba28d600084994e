"""Gates: what a figure of the engine must keep to, by itself or beside a floor of the same rounds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.figures import difference, middle, ratio

Figures = Mapping[str, Sequence[Mapping[str, float | None]]]
"""By contender, what each of its runs measured; runs of one place belong to one round."""


class Verdict(NamedTuple):
    """One gate after its runs; `passed` is None when nobody ran whom it needs."""

    gate: str
    measured: float | None
    passed: bool | None

    @property
    def word(self) -> str:
        return {None: "not measured", True: "pass", False: "MISS"}[self.passed]


class Gate(NamedTuple):
    """`measure` makes one number of all rounds, which has to be in the bounds."""

    text: str
    measure: Callable[[Figures], float | None]
    least: float = float("-inf")
    most: float = float("inf")

    def judge(self, figures: Figures) -> Verdict:
        measured = self.measure(figures)
        return Verdict(self.text, measured, None if measured is None else self.least <= measured <= self.most)


def values(figures: Figures, name: str, figure: str) -> list[float | None]:
    return [run.get(figure) for run in figures.get(name, ())]


def engine_ratio(figure: str, floor: str) -> Callable[[Figures], float | None]:
    """The engine's figure over that floor's, as the median over the rounds."""
    return lambda all_: ratio(*paired(all_, figure, floor))


def engine_above(figure: str, floor: str) -> Callable[[Figures], float | None]:
    """By how much the engine's figure exceeds that floor's, as the median over the rounds."""
    return lambda all_: difference(*paired(all_, figure, floor))


def engine_share(figure: str, whole: float) -> Callable[[Figures], float | None]:
    """The engine's figure, median over the rounds, as a share of what was possible."""

    def measure(figures: Figures) -> float | None:
        found = middle(values(figures, "engine", figure))
        return None if found is None else found / whole

    return measure


def paired(figures: Figures, figure: str, floor: str) -> tuple[list[float | None], list[float | None]]:
    """Both sides of each round; none where one side did not run as often."""
    ours, theirs = values(figures, "engine", figure), values(figures, floor, figure)
    return (ours, theirs) if len(ours) == len(theirs) else ([], [])


def at_most(text: str, measured: float, most: float) -> Verdict:
    return Verdict(text, measured, measured <= most)


def at_least(text: str, measured: float, least: float) -> Verdict:
    return Verdict(text, measured, measured >= least)


def held(text: str, passed: bool) -> Verdict:  # noqa: FBT001 -- it is the verdict itself
    """A yes or no that has no number."""
    return Verdict(text, None, passed)
