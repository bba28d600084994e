"""`esm run`: from a configuration to an exit code."""

import asyncio
import sys
import time
from pathlib import Path

import uvloop

from esm.cli.complain import NOT_STARTED, lines
from esm.cli.daemon import Daemon
from esm.config import assemble, load
from esm.errors import ConfigError
from esm.telemetry.log_format import Format, Level, logging_to
from esm.world import real_world

_NOT_SETTLED = 1


def run(path: Path, log_format: Format | None, log_level: Level | None) -> int:
    """Runs until a signal ends it; the log goes to standard output."""
    try:
        loaded = load(path)
        plan = assemble(loaded.config, world=real_world())
        settings = loaded.config.settings
        with logging_to(
            sys.stdout, log_format or settings.log.format, log_level or settings.log.level, time.time
        ) as log:
            for warning in loaded.warnings:
                log.warning("configuration", reason=warning)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                settled = runner.run(Daemon(plan, settings, log).run())
    except ConfigError as error:
        lines(error.problems)
        return NOT_STARTED
    return 0 if settled else _NOT_SETTLED
