"""How sources, targets and destinations register: a name, an options model, and how to make one.

A distribution offers a `SourcePlugin`, `TargetPlugin` or `DestinationPlugin` in the entry-point group
`esm.sources`, `esm.targets` or `esm.destinations`; the built-in ones do the same.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from esm.options import Options
from esm.ports import Destination, QueueSource, Target


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source may need to know of its mapping.

    `aws` holds the file's `aws:` defaults, `window` the batching window in seconds (it decides a detail of the
    event), `monotonic` the engine's clock.
    """

    mapping: str
    aws: Mapping[str, Any]
    window: float
    monotonic: Callable[[], float]


@dataclass(frozen=True, slots=True)
class TargetContext:
    """What a target may need to know: its name in the configuration and the file's `aws:` defaults."""

    name: str
    aws: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SourcePlugin:
    """A kind of source.

    `parse` turns the one-line form into options, or returns None if the text is not for this kind.
    `ordered` tells from the options whether order is kept per key (FIFO), which decides what is allowed.
    `make` does no I/O; it raises ValueError with a text for the user when the options make no sense together.
    """

    name: str
    options: type[Options]
    parse: Callable[[str], Mapping[str, Any] | None]
    ordered: Callable[[Any], bool]
    make: Callable[[Any, SourceContext], QueueSource]


@dataclass(frozen=True, slots=True)
class TargetPlugin:
    """A kind of target; `open` as for a source's `make`, but what it opens is closed with the engine."""

    name: str
    options: type[Options]
    parse: Callable[[str], Mapping[str, Any] | None]
    open: Callable[[Any, TargetContext], AbstractAsyncContextManager[Target]]


@dataclass(frozen=True, slots=True)
class DestinationContext:
    """What a destination may need to know: the file's `aws:` defaults."""

    aws: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DestinationPlugin:
    """A kind of on-failure destination, as a target's plugin in all else.

    Its one-line form is one line of `destination` or `fallback`. Opening does no I/O either: a destination that
    is away when the engine starts is no reason not to start. `called` is how people are told of it, without
    anything secret.
    """

    name: str
    options: type[Options]
    parse: Callable[[str], Mapping[str, Any] | None]
    open: Callable[[Any, DestinationContext], AbstractAsyncContextManager[Destination]]
    called: Callable[[Any], str]
