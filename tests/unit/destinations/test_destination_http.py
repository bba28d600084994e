"""The web address as destination: only an answer of 2xx says that a notice was taken."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from functions.http_servers import free_port

from esm.destinations.http import PLUGIN
from esm.errors import Undeliverable
from esm.plugins import DestinationContext
from esm.ports import Checkable
from esm.testing.destination_suite import notice


@asynccontextmanager
async def serving(status: int, headers: Mapping[str, str] | None = None) -> AsyncIterator[tuple[str, list[Any]]]:
    """A server's URL, with a secret in it, and the requests that it gets as (headers, document)."""
    got: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        got.append((request.headers, json.loads(await request.read())))
        return web.Response(status=status, headers=headers, text="not\nshown")

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
        yield f"http://127.0.0.1:{port}/failed?token=hush", got
    finally:
        await runner.cleanup()


async def deliver(url: str, **options: Any) -> None:
    made = PLUGIN.options.model_validate({"url": url, **options})
    async with PLUGIN.open(made, DestinationContext({})) as destination:
        await destination.deliver(notice())


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_has_taken_it(status: int) -> None:
    async with serving(status) as (url, got):
        await deliver(url, headers={"Authorization": "Bearer key"})
    ((headers, document),) = got
    assert document == notice().document
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Bearer key"


@pytest.mark.parametrize("status", [302, 307, 400, 401, 404, 429, 500, 503])
async def test_everything_else_has_not(status: int) -> None:
    async with serving(status, {"Location": "/elsewhere"}) as (url, got):
        with pytest.raises(Undeliverable) as caught:
            await deliver(url)
    assert str(caught.value) == f"{url.partition('?')[0]}: HTTP {status}"
    assert len(got) == 1


async def test_nobody_there_is_told_without_secrets() -> None:
    with pytest.raises(Undeliverable, match=r"cannot connect|refused") as caught:
        await deliver(f"http://127.0.0.1:{free_port()}/failed?token=hush", headers={"X-Key": "hush"})
    assert "hush" not in str(caught.value)


async def test_an_authority_that_cannot_be_read_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"nowhere\.pem"):
        await deliver("https://failed.internal/", ca="/nowhere.pem")


async def test_a_check_only_connects() -> None:
    async with serving(500) as (url, got):
        made = PLUGIN.options.model_validate({"url": url})
        async with PLUGIN.open(made, DestinationContext({})) as destination:
            assert isinstance(destination, Checkable)
            assert list(await destination.check()) == []
        assert got == []
    async with PLUGIN.open(made, DestinationContext({})) as destination:
        assert isinstance(destination, Checkable)
        (finding,) = await destination.check()
    assert finding.broken
    assert finding.text.startswith(f"cannot connect to {url.partition('/failed')[0]}: ")
    assert "hush" not in finding.text
