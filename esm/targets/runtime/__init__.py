"""Unmodified Lambda functions: the engine serves the Lambda Runtime API, workers attach to it and pull."""

from collections.abc import Mapping
from typing import Any

from esm.plugins import TargetPlugin
from esm.targets.runtime.options import RuntimeOptions
from esm.targets.runtime.target import open_runtime

__all__ = ["PLUGIN", "RuntimeOptions", "open_runtime"]


def _parse(_: str) -> Mapping[str, Any] | None:
    """There is no line that says enough."""
    return None


def _slots(options: RuntimeOptions) -> int | None:
    return options.slots


PLUGIN = TargetPlugin("runtime", RuntimeOptions, _parse, open_runtime, _slots)
