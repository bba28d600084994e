"""Functions in Python: `python:package.module:handler`, called with an event and a Lambda-like context."""

from collections.abc import Mapping
from typing import Any

from esm.plugins import TargetPlugin
from esm.targets.python.options import PythonOptions
from esm.targets.python.target import open_python

__all__ = ["PLUGIN", "PythonOptions", "open_python"]


def _parse(text: str) -> Mapping[str, Any] | None:
    return {"handler": text.removeprefix("python:")} if text.startswith("python:") else None


PLUGIN = TargetPlugin("python", PythonOptions, _parse, open_python)
