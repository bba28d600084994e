"""The demonstration from beginning to end: emulator, queues, engine, watching, and the account."""

import asyncio
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from rich.console import Console

from esm.demo.account import Account, drawn_up
from esm.demo.emulator import emulator
from esm.demo.engine import Engine, Setting, engine
from esm.demo.failures import DemoFailed
from esm.demo.journal import entries
from esm.demo.process import free_port
from esm.demo.show import Progress, report
from esm.demo.sqs import Queue, Sqs
from esm.demo.workload import Message, orders, payments, trickle
from esm.runtime.signals import Stop

_QUEUES = {"orders": "orders", "payments": "payments.fifo"}
_VISIBILITY = 2
_LONGEST = 45.0
_LOOK_EVERY = 0.25
_TRICKLE_EVERY = 1.0
_CALL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Demo:
    """`port`: where metrics and status are wanted; another is taken if it is in use. `handler`: the function.

    `sent`: what is sent at first, by mapping.
    """

    console: Console
    serve: bool = False
    port: int = 9464
    handler: str = "esm.demo.handler:handle"
    sent: Mapping[str, Sequence[Message]] = field(
        default_factory=lambda: {"orders": orders(), "payments": payments()}
    )


@dataclass(slots=True)
class _Stage:
    """The two queues and what has been sent to them, by the name of their mapping."""

    sqs: Sqs
    queues: dict[str, Queue]
    sent: dict[str, list[Message]]

    async def fill(self) -> None:
        for name, messages in self.sent.items():
            await self.sqs.send(self.queues[name], messages)

    async def add(self, name: str, message: Message) -> None:
        self.sent[name].append(message)
        await self.sqs.send(self.queues[name], [message])

    async def left(self) -> int:
        return sum([await self.sqs.left(queue.url) for queue in self.queues.values()])

    async def dead(self) -> dict[str, int]:
        return {name: await self.sqs.left(queue.dead_url) for name, queue in self.queues.items()}


async def play(demo: Demo, stop: Stop) -> bool:
    """True if the account balances. Raises `DemoFailed` if it cannot be played.

    `stop` ends the serving in order, and cancels what comes before it. However this ends, what it started has
    ended by then, and what it wrote is gone.
    """
    with tempfile.TemporaryDirectory(prefix="esm-demo-") as folder:
        async with AsyncExitStack() as opened:
            with interruptible(stop):
                stage, started = await _begin(demo, Path(folder), opened)
                await _watch(demo, stage, started)
            if demo.serve:
                await _serve(demo, stage, started, stop)
            await _stop(started)
            accounts = await _accounts(stage, started.setting)
    report(demo.console, accounts)
    return all(account.balanced and (demo.serve or not account.waiting) for account in accounts)


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """What is done in this context is cancelled by `stop`."""
    task = asyncio.current_task()

    def cancel() -> None:
        if task is not None:
            task.cancel()

    withdraw = stop.then(cancel)
    try:
        yield
    finally:
        withdraw()


async def _begin(demo: Demo, work: Path, opened: AsyncExitStack) -> tuple[_Stage, Engine]:
    """Full queues, and an engine that is ready."""
    timeout = aiohttp.ClientTimeout(total=_CALL_SECONDS)
    session = await opened.enter_async_context(aiohttp.ClientSession(timeout=timeout))
    endpoint = await opened.enter_async_context(emulator(session, work, demo.console.print))
    stage = await _set_up(demo, Sqs(session, endpoint))
    port = free_port(demo.port)
    setting = Setting(work=work, endpoint=endpoint, port=port, handler=demo.handler, **stage.queues)
    return stage, await opened.enter_async_context(engine(session, setting))


async def _set_up(demo: Demo, sqs: Sqs) -> _Stage:
    queues = {name: await sqs.create(queue, _VISIBILITY) for name, queue in _QUEUES.items()}
    stage = _Stage(sqs, queues, {name: list(messages) for name, messages in demo.sent.items()})
    await stage.fill()
    for name, messages in stage.sent.items():
        demo.console.print(f"Sent {len(messages)} messages to the queue {queues[name].name}, poison among them.")
    return stage


async def _watch(demo: Demo, stage: _Stage, started: Engine) -> None:
    """Shows progress until both queues are empty, as the queues themselves say, or for 45 s."""
    progress = Progress(demo.console, {name: len(messages) for name, messages in stage.sent.items()})
    left = 1
    try:
        with progress.shown():
            async with asyncio.timeout(_LONGEST):
                while left:
                    left = await stage.left()
                    progress.update(await started.mappings(), await stage.dead())
                    await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        demo.console.print(f"After {_LONGEST:g} s there are still {left} messages in the queues.")


async def _serve(demo: Demo, stage: _Stage, started: Engine, stop: Stop) -> None:
    """Sends a little all the time, until the stop."""
    url, show = started.url, demo.console.print
    show(f"Serving until Ctrl-C, with a message a second to each queue.\n  metrics  {url}/metrics")
    show(f"  status   {url}/status   (or: esm status --url {url})", soft_wrap=True)
    show(f"  queues   {started.setting.endpoint}\n  config   {started.setting.config}", soft_wrap=True)
    for order, payment in trickle():
        started.run.check()
        await stage.add("orders", order)
        await stage.add("payments", payment)
        if await stop.within(_TRICKLE_EVERY):
            show("Stopping …")
            return


async def _stop(started: Engine) -> None:
    code = await started.run.stop()
    if code != 0:
        raise DemoFailed(f"the engine did not settle everything: it ended with exit code {code}")


async def _accounts(stage: _Stage, setting: Setting) -> Sequence[Account]:
    journal = entries(setting.journal)
    accounts = []
    for name, queue in stage.queues.items():
        ids = {message.id for message in stage.sent[name]}
        waiting = await stage.sqs.drained(queue.url)
        dead = await stage.sqs.drained(queue.dead_url)
        # What neither queue was sent is a stranger to each.
        others = {message.id for other in stage.sent if other != name for message in stage.sent[other]}
        own = [entry for entry in journal if entry.id in ids or entry.id not in others]
        accounts.append(drawn_up(queue.name, stage.sent[name], own, dead, waiting))
    return accounts
