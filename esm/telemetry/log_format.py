"""One format for every line: the engine's own and those of the libraries it uses.

Exceptions are shown without the local variables of their frames, because those hold payloads and secrets.
Libraries are heard from WARNING on: below that, AWS clients log bodies and signatures. What functions print that
the engine runs comes from a logger of ours, `esm.function`, and is heard from INFO on.
"""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.types import EventDict, FilteringBoundLogger, Processor

from esm.telemetry.lines import LineWriter

Format = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

_FUNCTIONS = "esm.function"


@contextmanager
def logging_to(
    stream: TextIO, log_format: Format, level: Level, wall: Callable[[], float]
) -> Iterator[FilteringBoundLogger]:
    """Gives the logger that writes to `stream`, and routes the libraries' logging there as well until the end.

    `auto` is JSON, but readable lines on a terminal. `wall` gives epoch seconds. Opening several at once is
    fine; each then gets the libraries' lines.
    """
    renderer = _renderer(log_format, stream)
    shared: list[Processor] = [structlog.processors.add_log_level, _stamp(wall)]
    own = [*shared, *renderer]

    def dropped(lines: int) -> str:
        told: Any = {"event": "log lines dropped: the reader does not keep up", "lines": lines}
        for processor in own:
            told = processor(None, "error", told)
        return str(told)

    writer = LineWriter(stream, dropped)
    try:
        with _libraries(_ToWriter(writer, _foreign(shared, renderer)), level):
            yield structlog.wrap_logger(
                _Lines(writer),
                processors=own,
                wrapper_class=structlog.make_filtering_bound_logger(level),
                context_class=dict,
                cache_logger_on_first_use=True,
            )
    finally:
        writer.close()


class _Lines:
    """What structlog hands finished lines to; it calls the method named after the level."""

    def __init__(self, writer: LineWriter) -> None:
        self.debug = self.info = self.warning = self.error = writer.write


class _ToWriter(logging.Handler):
    def __init__(self, writer: LineWriter, formatter: logging.Formatter) -> None:
        super().__init__(logging.INFO)
        self._writer = writer
        self.setFormatter(formatter)
        self.addFilter(lambda record: record.levelno >= logging.WARNING or record.name == _FUNCTIONS)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record))
        except Exception:  # noqa: BLE001 -- a library's broken format string must not reach the loop
            self.handleError(record)


def _renderer(log_format: Format, stream: TextIO) -> list[Processor]:
    if log_format == "console" or (log_format == "auto" and stream.isatty()):
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]


def _foreign(shared: list[Processor], renderer: list[Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )


def _stamp(wall: Callable[[], float]) -> Processor:
    def stamp(_logger: Any, _method: str, event: EventDict) -> EventDict:
        moment = datetime.fromtimestamp(wall(), UTC)
        event["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return event

    return stamp


def _json(event: EventDict, **_: Any) -> str:
    """What is looked for first stands first."""
    first = {"timestamp": event.pop("timestamp"), "level": event.pop("level"), "message": event.pop("event")}
    line = {**first, **event}
    try:
        return orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # half a surrogate pair or a huge number in somebody's error text
        return json.dumps(line, default=repr)


@contextmanager
def _libraries(handler: logging.Handler, functions: Level) -> Iterator[None]:
    """The root logger writes to `handler` alone; put back afterwards as it was."""
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    ours = logging.getLogger(_FUNCTIONS)
    before = ours.level
    ours.setLevel(functions.upper())
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.removeHandler(handler)
        root.setLevel(level)
        ours.setLevel(before)
