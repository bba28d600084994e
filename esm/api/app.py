"""The routes. Each answers from memory at once; only rendering the metrics takes long enough to leave the loop."""

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, generate_latest, gzip_accepted

from esm.api.view import status_document
from esm.runtime.happenings import MappingState
from esm.runtime.status.board import StatusBoard
from esm.runtime.status.values import MappingStatus

_PLAIN = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Api:
    """What is shown. `applied` says whether the configuration runs, `uptime` is in seconds."""

    version: str
    board: StatusBoard
    registry: CollectorRegistry
    applied: Callable[[], bool]
    uptime: Callable[[], float]
    _rendering: asyncio.Lock = field(default_factory=asyncio.Lock)

    def app(self) -> web.Application:
        """The routes as an application; nothing listens yet."""
        app = web.Application()
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/status", self.status)
        return app

    async def metrics(self, request: web.Request) -> web.Response:
        """In the format that is asked for, `?name[]=` limits it to some.

        With 200 mappings rendering takes a quarter of a second, so it is done in a thread, one at a time.
        """
        squeeze = gzip_accepted(request.headers.get("Accept-Encoding", ""))
        names = request.query.getall("name[]", [])
        async with self._rendering:
            body, content_type = await asyncio.to_thread(
                self._render, request.headers.get("Accept", ""), names, gzip.compress if squeeze else bytes
            )
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if squeeze:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def healthz(self, _: web.Request) -> web.Response:
        """That it answers is the proof that the loop turns; nothing outside of the process is asked."""
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """Ready when the configuration runs, however its mappings fare; `?mapping=` asks about one of them."""
        name = request.query.get("mapping")
        if not self.applied():
            return web.Response(status=503, text="the configuration is not applied yet\n")
        if name is None:
            return web.Response(text="ready\n")
        seen = self.board.mapping(name)
        if seen is None:
            return web.Response(status=404, text="no such mapping\n")
        reason = _unready(seen)
        return web.Response(status=503, text=f"{reason}\n") if reason else web.Response(text="ready\n")

    async def status(self, _: web.Request) -> web.Response:
        """Every mapping: its state, the last result, figures and counts."""
        document = status_document(self.version, self.uptime(), self.board.mappings())
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")

    def _render(self, accept: str, names: list[str], packed: Callable[[bytes], bytes]) -> tuple[bytes, str]:
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # asked for a version that is no version
            encode, content_type = generate_latest, _PLAIN
        shown = self.registry.restricted_registry(names) if names else self.registry
        return packed(encode(shown)), content_type


def _unready(seen: MappingStatus) -> str:
    if seen.state is not MappingState.ENABLED:
        return f"the mapping is {seen.state}"
    return seen.last_processing_result if seen.blame else ""
