"""Asks everything that a configuration names whether it answers, without consuming, invoking or giving anything.

All at once, each with a time limit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from msgspec import Struct

from esm.model import Finding
from esm.ports import Checkable
from esm.runtime.plan import EnginePlan, LogPlan

_PATIENCE = 15.0

Steps = tuple[str | int, ...]
"""The way to a value in the configuration, AWS's names in snake_case."""


class Question(Struct, frozen=True):
    """Whether what is configured at `steps` answers; `place` is how people are told of it.

    `ask` gives None for what cannot be asked.
    """

    place: str
    steps: Steps
    ask: Callable[[], Awaitable[Sequence[Finding] | None]]


class Answer(Struct, frozen=True):
    """What was said to a question; `asked` is False for what cannot be asked."""

    place: str
    steps: Steps
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    asked: bool = True


async def ask_all(
    plan: EnginePlan, store: Checkable | None = None, patience: float = _PATIENCE
) -> Sequence[Answer]:
    """Sources in the order of mappings, targets, destinations, the store; `patience` in seconds for each."""
    questions = [*_sources(plan), *_targets(plan), *_destinations(plan)]
    if store is not None:
        questions.append(_question(("state", "url"), partial(_checked, store)))
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_answer(question, patience)) for question in questions]
    return [task.result() for task in asked]


async def _answer(question: Question, patience: float) -> Answer:
    try:
        async with asyncio.timeout(patience):
            found = await question.ask()
    except TimeoutError:
        found = [Finding(broken=True, text=f"does not answer within {patience:g} s")]
    if found is None:
        return Answer(question.place, question.steps, asked=False)
    return Answer(
        question.place,
        question.steps,
        [finding.text for finding in found if finding.broken],
        [finding.text for finding in found if not finding.broken],
    )


def _sources(plan: EnginePlan) -> Iterator[Question]:
    for name, mapping in plan.mappings.items():
        yield _question(("mappings", name, "source"), partial(_checked, mapping.source))


def _targets(plan: EnginePlan) -> Iterator[Question]:
    for name, target in plan.targets.items():
        mapping, _, inline = name.partition("/")
        steps = ("mappings", mapping, inline) if inline else ("targets", name)
        yield Question(f"target {name}", steps, partial(_opened, target.open))


def _destinations(plan: EnginePlan) -> Iterator[Question]:
    for name, mapping in plan.mappings.items():
        for number, destination in enumerate(mapping.on_failure if isinstance(mapping, LogPlan) else ()):
            which: Steps = ("fallback", number - 1) if number else ("destination",)
            steps = ("mappings", name, "destination_config", "on_failure", *which)
            yield _question(steps, partial(_opened, destination.open))


def _question(steps: Steps, ask: Callable[[], Awaitable[Sequence[Finding] | None]]) -> Question:
    return Question(".".join(map(str, steps)), steps, ask)


async def _opened(opens: Callable[[], AbstractAsyncContextManager[Any]]) -> Sequence[Finding] | None:
    try:
        async with opens() as opened:
            return await _checked(opened)
    except ValueError as error:
        return [Finding(broken=True, text=str(error))]


async def _checked(component: object) -> Sequence[Finding] | None:
    return await component.check() if isinstance(component, Checkable) else None
