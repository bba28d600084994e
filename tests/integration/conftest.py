"""What speaks HTTP runs on both event loops: streams and TLS are implemented twice, and users run uvloop."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

_Loops = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]

_ASYNCIO: _Loops = {"asyncio": asyncio.SelectorEventLoop}
_BOTH: _Loops = {**_ASYNCIO, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(item: pytest.Item) -> _Loops:
    return _BOTH if item.path.name.startswith(("test_http", "test_aws")) else _ASYNCIO
