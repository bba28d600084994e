"""Listens for the operator's requests, beside the engine and without ever holding it up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from esm.errors import ConfigError

_GOODBYE = 1.0


@asynccontextmanager
async def serve(host: str, port: int, app: web.Application) -> AsyncIterator[tuple[str, int]]:
    """Serves until the context ends; gives the address that is bound, port 0 takes any free one.

    Raises ConfigError if the address cannot be bound. Clients that do not hang up are cut off after a second.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_GOODBYE)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host or None, port).start()
        except OSError as error:
            problem = f"server.listen: cannot listen on {host}:{port}: {error.strerror or error}"
            raise ConfigError([problem]) from error
        bound = runner.addresses[0]
        yield bound[0], bound[1]
    finally:
        await runner.cleanup()
