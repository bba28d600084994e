"""How the rules of a suite end on a real server: they wait rather than work, so they wait together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Endings = Mapping[str, Exception | None]


def name_of(rule: Callable[..., Any]) -> str:
    """What a rule is called among the tests."""
    return rule.__name__


def endings(cases: Mapping[str, Callable[[], Awaitable[None]]]) -> Endings:
    """Runs all of them at once; the error that ended a case, None if it held."""

    async def ending(case: Callable[[], Awaitable[None]]) -> Exception | None:
        try:
            await case()
        except Exception as error:  # noqa: BLE001 -- raised by the test it belongs to
            return error
        return None

    async def every() -> Endings:
        async with asyncio.TaskGroup() as tasks:
            running = {name: tasks.create_task(ending(case)) for name, case in cases.items()}
        return {name: task.result() for name, task in running.items()}

    return asyncio.run(every())
