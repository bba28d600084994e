"""A server on a free port of 127.0.0.1, for as long as a context is open."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from esm.demo.failures import DemoFailed
from esm.demo.process import Program, free_port, running

_START_SECONDS = 20.0
_TRIES = 3


@asynccontextmanager
async def served(
    session: aiohttp.ClientSession, program: Callable[[int], Program], health: str
) -> AsyncIterator[str]:
    """Runs the program for a port and gives its URL when the path `health` answers.

    Raises `DemoFailed` if it does not. Between choosing a free port and using it somebody else may take it:
    then another one is tried.
    """
    for last in (False,) * (_TRIES - 1) + (True,):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        async with running(program(port)) as run:
            try:
                await run.ready(lambda url=url: _answers(session, f"{url}{health}"), _START_SECONDS)  # type: ignore[misc]
            except DemoFailed:
                if last:
                    raise
                continue
            yield url
            return


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
