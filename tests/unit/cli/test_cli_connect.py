"""What `validate --connect` makes of the answers it gets, and of those it does not get."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from esm.cli.connect import ask_all, compared
from esm.errors import Disconnected
from esm.model import Finding
from esm.runtime.plan import EnginePlan, MappingPlan, QueueOptions
from esm.sources.sqs import QueueFacts


class Source:
    def __init__(
        self, *findings: Finding, facts: QueueFacts | Disconnected | None = None, wait: bool = False
    ) -> None:
        self._findings = findings
        self._facts = facts
        self._wait = wait

    async def check(self) -> Sequence[Finding]:
        if self._wait:
            await asyncio.Event().wait()
        return self._findings

    async def describe(self) -> QueueFacts:
        if isinstance(self._facts, Disconnected):
            raise self._facts
        return self._facts or facts()


def facts(visibility: float = 180, in_flight_limit: int = 120_000) -> QueueFacts:
    return QueueFacts("arn", visibility, 345_600, 3, in_flight_limit)


def mapping(name: str, source: Any, **options: Any) -> MappingPlan:
    return MappingPlan(name, "id", True, source, "target", QueueOptions(**options))


def config() -> Any:
    target = SimpleNamespace(options=SimpleNamespace(timeout=30.0))
    return SimpleNamespace(targets={"target": target}, settings=None)


async def ask(**sources: Any) -> dict[str, Any]:
    mappings = {name: mapping(name, source) for name, source in sources.items()}
    answers = await ask_all(config(), EnginePlan(mappings, {}, 0), patience=0.2)
    return {answer.place.split(".")[1]: answer for answer in answers}


async def test_one_that_never_answers_does_not_hold_up_the_others() -> None:
    answers = await ask(stuck=Source(wait=True), fine=Source())
    assert answers["stuck"].problems == ["does not answer within 0.2 s"]
    assert answers["fine"].problems == ()


async def test_findings_are_told_apart() -> None:
    answers = await ask(orders=Source(Finding(broken=True, text="gone"), Finding(broken=False, text="odd")))
    assert (answers["orders"].problems, answers["orders"].warnings) == (["gone"], ["odd"])


async def test_a_source_that_went_away_in_between_is_a_problem() -> None:
    answers = await ask(orders=Source(facts=Disconnected("unreachable", "went away")))
    assert answers["orders"].problems == ["went away"]


async def test_what_cannot_be_asked_is_no_problem() -> None:
    answer = (await ask(orders=object()))["orders"]
    assert (answer.asked, answer.problems) == (False, ())


@pytest.mark.parametrize(("visibility", "remarks"), [(29.9, 1), (30, 0)])
def test_visibility_is_compared_with_the_timeout(visibility: float, remarks: int) -> None:
    assert len(compared(mapping("orders", None), facts(visibility), 30.0)) == remarks


def test_a_target_without_a_timeout_is_not_compared() -> None:
    assert compared(mapping("orders", None), facts(0), None) == []


@pytest.mark.parametrize(("concurrency", "remarks"), [(12, 0), (13, 1)])
def test_what_would_be_held_is_compared_with_the_quota(concurrency: int, remarks: int) -> None:
    plan = mapping("orders", None, batch_size=10_000, concurrency=concurrency)
    assert len(compared(plan, facts(), 30.0)) == remarks
