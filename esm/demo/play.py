"""The demonstration from beginning to end: servers, sources, engine, watching, and the account."""

import asyncio
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from rich.console import Console

from esm.demo.brokers import brokers
from esm.demo.emulator import emulator
from esm.demo.engine import Engine, engine
from esm.demo.example import Setting
from esm.demo.failures import DemoFailed
from esm.demo.journal import entries
from esm.demo.kinesis_local import stream_server
from esm.demo.process import free_port
from esm.demo.show import Progress, report
from esm.demo.stage import Stage, built
from esm.demo.watching import Stillness
from esm.demo.workload import Message, changes, clicks, orders, parcels, payments, trickle
from esm.runtime.signals import Stop

_WORDS = {
    "orders": "messages to the queue orders",
    "payments": "messages to the queue payments.fifo",
    "clicks": "records to the stream clicks",
    "accounts": "changes to the table accounts",
    "parcels": "records to the topic parcels",
}
_LONGEST = 45.0
_LOOK_EVERY = 0.25
_TRICKLE_EVERY = 1.0
_CALL_SECONDS = 10.0
_FIRST_CLICK_SECONDS = 10.0
_LAST_RECORDS_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Demo:
    """`port`: where metrics and status are wanted; another is taken if it is in use. `handler`: the function.

    `sent`: what is sent, by mapping; the second half of the clicks follows while the first one is read.
    """

    console: Console
    serve: bool = False
    port: int = 9464
    handler: str = "esm.demo.handler:handle"
    sent: Mapping[str, Sequence[Message]] = field(
        default_factory=lambda: {
            "orders": orders(),
            "payments": payments(),
            "clicks": clicks(),
            "accounts": changes(),
            "parcels": parcels(),
        }
    )

    @property
    def half(self) -> int:
        """How many of the clicks come before the split."""
        return len(self.sent["clicks"]) // 2


async def play(demo: Demo, stop: Stop) -> bool:
    """True if the account balances. Raises `DemoFailed` if it cannot be played.

    `stop` ends the serving in order, and cancels what comes before it. However this ends, what it started has
    ended by then, and what it wrote is gone.
    """
    with tempfile.TemporaryDirectory(prefix="esm-demo-") as folder:
        async with AsyncExitStack() as opened:
            with interruptible(stop):
                stage, started = await _begin(demo, Path(folder), opened)
                await _go_on(demo, stage, started.setting)
                await _watch(demo, stage, started)
            if demo.serve:
                await _serve(demo, stage, started, stop)
            await _stop(started)
            accounts = await stage.accounts(started.setting.journal)
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


async def _begin(demo: Demo, work: Path, opened: AsyncExitStack) -> tuple[Stage, Engine]:
    """Full sources, and an engine that is ready."""
    say = _teller(demo.console)
    timeout = aiohttp.ClientTimeout(total=_CALL_SECONDS)
    session = await opened.enter_async_context(aiohttp.ClientSession(timeout=timeout))
    endpoint = await opened.enter_async_context(emulator(session, work, say))
    stream = await opened.enter_async_context(stream_server(session, work, endpoint, say))
    kafka = await opened.enter_async_context(brokers(work))
    stage = await built(session, endpoint, stream, kafka)
    for name, messages in demo.sent.items():
        await stage.send(name, messages[: demo.half] if name == "clicks" else messages)
        say(f"Sent {len(stage.sent[name])} {_WORDS[name]}, poison among them.")
    port = free_port(demo.port)
    setting = Setting(work, endpoint, stream, port, demo.handler, stage.names)
    return stage, await opened.enter_async_context(engine(session, setting))


async def _go_on(demo: Demo, stage: Stage, setting: Setting) -> None:
    """While the stream is being read, splits it if its server can, and sends the rest."""
    await _first_taken_up({message.id for message in stage.sent["clicks"]}, setting)
    split = ""
    if setting.stream.splits:
        parent, children = await stage.stream.split()
        split = f"Split {parent} of the stream into {' and '.join(children)} while it is read, and sent "
    rest = demo.sent["clicks"][demo.half :]
    await stage.send("clicks", rest)
    _teller(demo.console)(f"{split or 'Sent '}{len(rest)} more {_WORDS['clicks']}.")


async def _first_taken_up(ids: Collection[str], setting: Setting) -> None:
    """Returns when the function has seen one of these messages; after 10 s it is not waited for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_CLICK_SECONDS):
            while True:
                if any(entry.id in ids for entry in entries(setting.journal)):
                    return
                await asyncio.sleep(_LOOK_EVERY)


async def _watch(demo: Demo, stage: Stage, started: Engine) -> None:
    """Shows progress until nothing is left, as the sources and the journal say, or for 45 s."""
    progress = Progress(demo.console, {name: len(messages) for name, messages in stage.sent.items()})
    still = Stillness()
    try:
        with progress.shown():
            async with asyncio.timeout(_LONGEST):
                while True:
                    left = await stage.left(started.setting.journal)
                    mappings = await started.mappings()
                    progress.update(mappings, left, await stage.dead())
                    if not any(left.values()) or still.lasts(left, mappings):
                        return
                    await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        demo.console.print(f"After {_LONGEST:g} s {sum(left.values())} messages are still to be worked off.")


async def _serve(demo: Demo, stage: Stage, started: Engine, stop: Stop) -> None:
    """Sends a little all the time, until the stop."""
    url, setting, say = started.url, started.setting, _teller(demo.console)
    say(f"Serving until Ctrl-C, with a message a second to each source.\n  metrics  {url}/metrics")
    say(f"  status   {url}/status   (or: esm status --lanes --url {url})")
    say(f"  queues   {setting.endpoint}   (the table too)\n  stream   {setting.stream.endpoint}")
    say(f"  topic    {setting.names.parcels}\n  config   {setting.config}")
    for messages in trickle():
        started.run.check()
        for name, message in messages.items():
            await stage.send(name, [message])
        if await stop.within(_TRICKLE_EVERY):
            say("Stopping …")
            await _finish(stage, setting)
            return


async def _finish(stage: Stage, setting: Setting) -> None:
    """Queues keep what is not done; what waits in a stream or topic could not be told from what was lost."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_RECORDS_SECONDS):
            while True:
                left = await stage.left(setting.journal)
                if not any(left[name] for name in ("clicks", "accounts", "parcels")):
                    return
                await asyncio.sleep(_LOOK_EVERY)


async def _stop(started: Engine) -> None:
    code = await started.run.stop()
    if code != 0:
        raise DemoFailed(f"the engine did not settle everything: it ended with exit code {code}")


def _teller(console: Console) -> Callable[[str], None]:
    """Lines as they are: paths and URLs are there to be copied."""
    return lambda line: console.print(line, markup=False, soft_wrap=True)
