"""Functions behind HTTP: the event is posted, the answer's status and body say what became of it."""

from collections.abc import Mapping
from typing import Any

from esm.plugins import TargetPlugin
from esm.targets.http.options import HttpOptions
from esm.targets.http.permissions import permissions
from esm.targets.http.target import HttpTarget, open_http

__all__ = ["PLUGIN", "HttpOptions", "HttpTarget", "open_http"]


def _parse(text: str) -> Mapping[str, Any] | None:
    return {"url": text} if text.lower().startswith(("http://", "https://")) else None


def _slots(options: HttpOptions) -> int | None:
    """The Runtime Interface Emulator takes one call at a time."""
    return 1 if options.protocol == "rie" else None


PLUGIN = TargetPlugin("http", HttpOptions, _parse, open_http, _slots, permissions)
