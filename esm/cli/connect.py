"""Asks every source and target of a configuration whether it answers, without consuming or invoking anything.

All at once, each with a time limit. What a queue says of itself is then compared with its mapping.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from esm.config import Config
from esm.errors import Disconnected
from esm.model import Finding
from esm.ports import Checkable
from esm.runtime.plan import EnginePlan, LogPlan, MappingPlan, TargetPlan

_PATIENCE = 15.0


class Answer(Struct, frozen=True):
    """What one source or target said; `asked` is False for one that cannot be asked."""

    place: str
    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    asked: bool = True


class Facts(Protocol):
    """What is compared; visibility in seconds."""

    @property
    def arn(self) -> str: ...
    @property
    def visibility(self) -> float: ...
    @property
    def in_flight_limit(self) -> int: ...


@runtime_checkable
class Described(Protocol):
    """A source that knows its queue's own settings."""

    async def describe(self) -> Facts:
        """Asks the queue. Raises `Disconnected`."""


async def ask_all(config: Config, plan: EnginePlan, patience: float = _PATIENCE) -> Sequence[Answer]:
    """Sources in the order of mappings, then targets; `patience` in seconds for each."""

    async def within(place: str, asking: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(patience):
                return await asking
        except TimeoutError:
            return Answer(place, [f"does not answer within {patience:g} s"])

    questions = {f"mappings.{mapping.name}.source": _source(config, mapping) for mapping in plan.mappings.values()}
    questions |= {f"target {name}": _target(target) for name, target in plan.targets.items()}
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(within(place, question)) for place, question in questions.items()]
    return [task.result() for task in asked]


async def _source(config: Config, mapping: MappingPlan | LogPlan) -> Answer:
    place = f"mappings.{mapping.name}.source"
    answer = await _checked(place, mapping.source)
    if answer.problems or not isinstance(mapping, MappingPlan) or not isinstance(mapping.source, Described):
        return answer
    try:
        facts = await mapping.source.describe()
    except Disconnected as problem:
        return Answer(place, [problem.reason])
    timeout = getattr(config.targets[mapping.target].options, "timeout", None)
    return Answer(place, warnings=[*answer.warnings, *compared(mapping, facts, timeout)])


def compared(mapping: MappingPlan, facts: Facts, timeout: float | None) -> Sequence[str]:
    """What will hurt about this queue with this mapping; `timeout` is the target's, in seconds.

    The first is a condition of CreateEventSourceMapping on AWS
    (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html), the second the quota of the queue.
    """
    remarks = []
    if timeout is not None and facts.visibility < timeout:
        remarks.append(
            f"the visibility timeout of {facts.arn} is {facts.visibility:g} s, shorter than the target's timeout "
            f"of {timeout:g} s: messages stay hidden only as long as the engine extends it; AWS advises 6 timeouts"
        )
    held = mapping.options.batch_size * mapping.options.concurrency
    if held > facts.in_flight_limit:
        remarks.append(
            f"batch_size times concurrency is {held:,}, and {facts.arn} lets {facts.in_flight_limit:,} messages "
            "be in flight: the concurrency will not be reached"
        )
    return remarks


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
