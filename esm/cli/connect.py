"""Asks every source and target of a configuration whether it answers, without consuming or invoking anything.

All at once, each with a time limit.
"""

import asyncio
from collections.abc import Awaitable, Sequence

from msgspec import Struct

from esm.model import Finding
from esm.ports import Checkable
from esm.runtime.plan import EnginePlan, TargetPlan

_PATIENCE = 15.0


class Answer(Struct, frozen=True):
    """What one source or target said; `asked` is False for one that cannot be asked."""

    place: str
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    asked: bool = True


async def ask_all(plan: EnginePlan, patience: float = _PATIENCE) -> Sequence[Answer]:
    """Sources in the order of mappings, then targets; `patience` in seconds for each."""

    async def within(place: str, asking: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(patience):
                return await asking
        except TimeoutError:
            return Answer(place, [f"does not answer within {patience:g} s"])

    sources = {f"mappings.{name}.source": mapping.source for name, mapping in plan.mappings.items()}
    questions = {place: _checked(place, source) for place, source in sources.items()}
    questions |= {f"target {name}": _target(target) for name, target in plan.targets.items()}
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(within(place, question)) for place, question in questions.items()]
    return [task.result() for task in asked]


async def _target(target: TargetPlan) -> Answer:
    place = f"target {target.name}"
    try:
        async with target.open() as opened:
            return await _checked(place, opened)
    except ValueError as error:
        return Answer(place, [str(error)])


async def _checked(place: str, component: object) -> Answer:
    if not isinstance(component, Checkable):
        return Answer(place, asked=False)
    findings: Sequence[Finding] = await component.check()
    return Answer(
        place,
        [finding.text for finding in findings if finding.broken],
        [finding.text for finding in findings if not finding.broken],
    )
