"""The engine as a process: its observers, its HTTP server, its signals, and its first and last words."""

import asyncio
import errno
import gc
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from structlog.types import FilteringBoundLogger

from esm import __version__
from esm.api.app import Api
from esm.api.server import serve
from esm.config.models import Settings
from esm.errors import ConfigError, StoreFailed
from esm.ports import LaneStore, Target
from esm.runtime.engine import Engine, Unsettled
from esm.runtime.happenings import Happening, MappingState, State, to_all
from esm.runtime.plan import EnginePlan, TargetPlan
from esm.runtime.signals import Stop
from esm.runtime.status.board import StatusBoard
from esm.runtime.world import World
from esm.telemetry.logs import LogObserver
from esm.telemetry.loop_lag import LoopLag
from esm.telemetry.prometheus import PrometheusObserver

OpensStore = Callable[[], AbstractAsyncContextManager[LaneStore]]

_MOST_NAMED = 1_000
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(slots=True)
class Daemon:
    """Runs a plan until a signal comes."""

    plan: EnginePlan
    settings: Settings
    log: FilteringBoundLogger
    _began: float = field(default_factory=time.monotonic, init=False)
    _creating: set[str] = field(default_factory=set, init=False)
    _ready: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stop: Stop = field(default_factory=Stop, init=False)
    _unsettled: Unsettled = field(init=False)

    def __post_init__(self) -> None:
        self._unsettled = Unsettled(self._stop)

    async def run(self) -> bool:
        """True if everything was settled. Raises ConfigError, with nothing started, if an address is taken or a
        target or the store of positions cannot be opened.
        """
        lag = LoopLag(time.monotonic, asyncio.sleep)
        board = StatusBoard(time.time)
        metrics = PrometheusObserver(board, __version__, lambda: lag.longest)
        engine = self._engine(board, metrics)
        api = Api(__version__, board, metrics.registry, self._ready.is_set, lambda: time.monotonic() - self._began)
        server = self.settings.server
        found: ConfigError | None = None
        try:
            async with serve(server.host, server.port, api.app()) as address, asyncio.TaskGroup() as beside:
                helpers = [beside.create_task(lag.run()), beside.create_task(self._when_ready(address))]
                self._heed_signals(engine)
                await engine.run()
                for helper in helpers:
                    helper.cancel()
        except* ConfigError as problems:
            found = _first(problems)
        if found is not None:  # not raised above: Python before 3.11.4 puts what leaves `except*` into a group
            raise self._advised(found) from None
        return self._last_words()

    def _advised(self, problem: ConfigError) -> ConfigError:
        """A port that is taken is the one fault of the address with a remedy worth naming."""
        cause = problem.__cause__
        if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE:
            return problem
        server = self.settings.server
        remedy = "change server.listen (port 0 takes a free one)"
        return ConfigError([f"server.listen: {server.host}:{server.port} is in use: {remedy}"])

    def _engine(self, board: StatusBoard, metrics: PrometheusObserver) -> Engine:
        self._creating = set(self.plan.mappings)
        if not self._creating:
            self._ready.set()
        log = LogObserver(self.log, time.monotonic)
        tell = to_all([board.tell, metrics.tell, log.tell, self._unsettled, self._notice_ready])
        world = World(time.monotonic, time.time, random.random, lambda: f"{random.getrandbits(128):032x}", tell)
        targets = {name: _explained(target) for name, target in self.plan.targets.items()}
        store = None if self.plan.store is None else _kept(self.plan.store)
        return Engine(
            replace(self.plan, targets=targets, store=store),
            board,
            world,
            self.settings.shutdown_grace,
            self._stop,
        )

    def _notice_ready(self, happening: Happening) -> None:
        """The configuration is applied when every mapping has begun, however it fares then."""
        if isinstance(happening, State) and happening.state is not MappingState.CREATING:
            self._creating.discard(happening.mapping)
            if not self._creating:
                self._ready.set()

    async def _when_ready(self, address: tuple[str, int]) -> None:
        await self._ready.wait()
        host, port = address
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.log.info(
            "ready",
            version=__version__,
            mappings=len(self.plan.mappings),
            metrics=f"{url}/metrics",
            status=f"{url}/status",
        )
        gc.collect()
        gc.freeze()  # what lives as long as the process is not looked through again and again

    def _heed_signals(self, engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, partial(self._signalled, engine, number))

    def _signalled(self, engine: Engine, number: signal.Signals) -> None:
        """First: drain. Second: stop at once. A third finds the system's own handling, should all else hang."""
        if not engine.stop.is_set():
            self.log.info("stopping", signal=number.name, shutdown_grace=engine.grace)
            engine.stop.set()
            return
        self.log.warning("stopping at once", signal=number.name)
        for each in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(each)
        engine.abort()

    def _last_words(self) -> bool:
        unsettled = self._unsettled.by_mapping
        for mapping, record_ids in unsettled.items():
            self.log.error(
                "not settled", mapping=mapping, records=len(record_ids), record_ids=record_ids[:_MOST_NAMED]
            )
        self.log.info("stopped", settled=not unsettled, uptime=round(time.monotonic() - self._began, 3))
        return not unsettled


def _first(problems: BaseExceptionGroup[ConfigError]) -> ConfigError:
    found = problems.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found


def _kept(opens: OpensStore) -> OpensStore:
    """A store whose faults at opening (a directory that is missing, a file that is in use) say what to look at."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[LaneStore]:
        async with AsyncExitStack() as stack:
            try:
                entered = await stack.enter_async_context(opens())
            except StoreFailed as error:
                raise ConfigError([f"state.url: {error}"]) from error
            yield entered

    return opened


def _explained(target: TargetPlan) -> TargetPlan:
    """A target whose faults at opening (a handler that cannot be imported) name it."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Target]:
        async with AsyncExitStack() as stack:
            try:
                entered = await stack.enter_async_context(target.open())
            except ValueError as error:
                raise ConfigError([f"target {target.name}: {error}"]) from error
            yield entered

    return replace(target, open=opened)
