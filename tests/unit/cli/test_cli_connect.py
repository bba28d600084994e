"""What `validate --connect` makes of the answers it gets, and of those it does not get."""

import asyncio
from collections.abc import Sequence
from typing import Any

from esm.cli.connect import ask_all
from esm.model import Finding
from esm.runtime.plan import EnginePlan, MappingPlan, QueueOptions


class Source:
    def __init__(self, *findings: Finding, wait: bool = False) -> None:
        self._findings = findings
        self._wait = wait

    async def check(self) -> Sequence[Finding]:
        if self._wait:
            await asyncio.Event().wait()
        return self._findings


async def ask(**sources: Any) -> dict[str, Any]:
    mappings = {
        name: MappingPlan(name, "id", True, source, "target", QueueOptions()) for name, source in sources.items()
    }
    answers = await ask_all(EnginePlan(mappings, {}, 0), patience=0.2)
    return {answer.place.split(".")[1]: answer for answer in answers}


async def test_one_that_never_answers_does_not_hold_up_the_others() -> None:
    answers = await ask(stuck=Source(wait=True), fine=Source())
    assert answers["stuck"].problems == ["does not answer within 0.2 s"]
    assert answers["fine"].problems == []


async def test_findings_are_told_apart() -> None:
    answers = await ask(orders=Source(Finding(broken=True, text="gone"), Finding(broken=False, text="odd")))
    assert (answers["orders"].problems, answers["orders"].warnings) == (["gone"], ["odd"])


async def test_what_cannot_be_asked_is_no_problem() -> None:
    answer = (await ask(orders=object()))["orders"]
    assert (answer.asked, answer.problems) == (False, ())
