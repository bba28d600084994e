"""A handler by its address, and its endings as replies; the same in the engine and in a worker process."""

import difflib
import importlib
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any

from esm.model import Errored, Outcome, Reply, Returned
from esm.targets.local_function import overdue

Handler = Callable[[Any, Any], Any]

_LONGEST_MESSAGE = 300


def load(address: str, path: str) -> Handler:
    """Imports `package.module:function`, looked for in `path` first.

    Raises ValueError, with a text for the user, if there is no such module or function or it cannot be called.
    """
    module_name, _, name = address.partition(":")
    if path not in sys.path:
        sys.path.insert(0, path)
    module = _import(module_name, path)
    try:
        handler = attrgetter(name)(module)
    except AttributeError:
        near = difflib.get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"module {module_name!r} has no {name!r}{hint}") from None
    if not callable(handler):
        kind = type(handler).__name__
        raise ValueError(f"{address!r} is a {kind}, which cannot be called")  # noqa: TRY004 - the user's mistake
    return handler  # type: ignore[no-any-return]


def _import(name: str, path: str) -> Any:
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a module may raise anything, SystemExit included
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise ValueError(f"no module {error.name!r} in {path!r} or among the installed packages") from None
        raise ValueError(f"cannot import {name!r}: {describe(error)}") from None


def is_async(handler: Handler) -> bool:
    """True for coroutine functions and for objects whose call is one."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - the method itself, to look at
    )


def returned(result: Any) -> Reply:
    """The answer in JSON as Lambda's runtime writes it; what JSON cannot hold is an error of the function."""
    try:
        return Returned(_encoder.encode(result).encode())
    except (TypeError, ValueError, RecursionError) as error:
        return Errored(
            Outcome.FUNCTION_ERROR, f"Runtime.MarshalError: unable to marshal response: {error}"[:_LONGEST_MESSAGE]
        )


def raised(error: BaseException) -> Reply:
    """What the function raised, and where; the whole traceback goes where its prints go, to standard error."""
    with suppress(OSError, ValueError):  # a standard error that is closed
        traceback.print_exception(error)
    return Errored(Outcome.FUNCTION_ERROR, describe(error))


def timed_out(seconds: float) -> Reply:
    return Errored(Outcome.TIMEOUT, overdue(seconds))


def describe(error: BaseException) -> str:
    """`KeyError: 'id' (orders.py:17)`, on one line."""
    try:
        said = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - a broken __str__ is the function's, too
        said = ""
    if len(said) > _LONGEST_MESSAGE:
        said = f"{said[:_LONGEST_MESSAGE]}…"
    return f"{type(error).__name__}{': ' if said else ''}{said}{_place(error)}"


def _place(error: BaseException) -> str:
    frame = error.__traceback__
    if frame is None:
        return ""
    while frame.tb_next is not None:
        frame = frame.tb_next
    return f" ({Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno})"


def _number(value: Any) -> Any:
    """Lambda's runtime writes decimals as numbers, which boto3 makes of DynamoDB's."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_encoder = json.JSONEncoder(default=_number)  # json.dumps would make one for each answer
