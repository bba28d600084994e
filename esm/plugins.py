"""How sources, targets and destinations register: a name, an options model, and how to make one.

A distribution offers a `SourcePlugin`, `TargetPlugin` or `DestinationPlugin` in the entry-point group
`esm.sources`, `esm.targets` or `esm.destinations`; the built-in ones do the same.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from esm.model import DataKeys
from esm.options import Options, TargetOptions
from esm.ports import Destination, GroupSource, LogSource, QueueSource, Target
from esm.world import World


class Kind(StrEnum):
    """The kinds of source that AWS tells apart, by the names people use: each has options and rules of its own."""

    SQS = "SQS standard"
    FIFO = "SQS FIFO"
    KINESIS = "Kinesis"
    DYNAMODB = "DynamoDB Streams"
    MSK = "Amazon MSK"
    KAFKA = "self-managed Kafka"
    ACTIVEMQ = "ActiveMQ"
    RABBITMQ = "RabbitMQ"
    DOCUMENTDB = "DocumentDB"


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source may need to know of its mapping.

    `id` is the mapping's, the same on every host. `aws` holds the file's `aws:` defaults, `window` the batching
    window in seconds (it decides a detail of the event), `world` the engine's time and chance. For a check of the
    source's own settings: `timeout` is the target's, in seconds, and `held` the most records that the mapping may
    have in flight. `starting_position` is AWS's word, None for a queue; `starting_position_timestamp` goes with
    `AT_TIMESTAMP`, in epoch seconds.
    """

    mapping: str
    aws: Mapping[str, Any]
    window: float
    world: World
    timeout: float = 0.0
    held: int = 0
    starting_position: str | None = None
    starting_position_timestamp: float | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class TargetContext:
    """What a target may need to know: its name in the configuration and the file's `aws:` defaults."""

    name: str
    aws: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Permission:
    """What has to be allowed on AWS: `actions` on `resource`, an ARN with `*` where the options do not say.

    `role`: the ARN of the role that is assumed for it, None for the engine's own identity. `condition`: as in a
    policy.
    """

    actions: tuple[str, ...]
    resource: str
    role: str | None = None
    condition: Mapping[str, Any] = field(default_factory=dict)


Permissions = Callable[[Any, Mapping[str, Any]], Sequence[Permission]]
"""From the options of a component and the file's `aws:` defaults to all that it needs while it runs."""


@dataclass(frozen=True, slots=True)
class SourcePlugin:
    """A kind of source.

    `parse` turns the one-line form into options, or returns None if the text is not for this kind.
    `kind` tells from the options which of AWS's kinds of source it is, or is like: that decides which options a
    mapping has. `make` gives a `QueueSource` for a queue, a `LogSource` for a stream, a `GroupSource` for a topic.
    `make` does no I/O; it raises ValueError with a text for the user when the options make no sense together.
    `data_keys` says where filters find a record's data in what the codec's `view` gives. `permissions` says what
    it needs on AWS.
    """

    name: str
    options: type[Options]
    parse: Callable[[str], Mapping[str, Any] | None]
    kind: Callable[[Any], Kind]
    make: Callable[[Any, SourceContext], QueueSource | LogSource | GroupSource]
    data_keys: DataKeys = DataKeys()  # noqa: RUF009 - frozen
    permissions: Permissions = lambda *_: ()


@dataclass(frozen=True, slots=True)
class TargetPlugin:
    """A kind of target; `open` as for a source's `make`, but what it opens is closed with the engine.

    `slots` tells from the options how many calls it can take at once, None for any number: more are not sent
    there, as long as no `reserved_concurrency` says otherwise. `permissions` as for a source.
    """

    name: str
    options: type[TargetOptions]
    parse: Callable[[str], Mapping[str, Any] | None]
    open: Callable[[Any, TargetContext], AbstractAsyncContextManager[Target]]
    slots: Callable[[Any], int | None] = lambda _: None
    permissions: Permissions = lambda *_: ()


@dataclass(frozen=True, slots=True)
class DestinationContext:
    """What a destination may need to know: the file's `aws:` defaults."""

    aws: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DestinationPlugin:
    """A kind of on-failure destination, as a target's plugin in all else.

    Its one-line form is one line of `destination` or `fallback`. Opening does no I/O either: a destination that
    is away when the engine starts is no reason not to start. `called` is how people are told of it, without
    anything secret. `patience`: seconds after which a delivery that has not come back counts as failed, more than
    any limit of its own. `beside`: the options as they are meant where the mapping's source has the given ones; it
    raises ValueError with a text for the user if the two make no sense together.
    """

    name: str
    options: type[Options]
    parse: Callable[[str], Mapping[str, Any] | None]
    open: Callable[[Any, DestinationContext], AbstractAsyncContextManager[Destination]]
    called: Callable[[Any], str]
    permissions: Permissions = lambda *_: ()
    patience: Callable[[Any], float] = lambda _: 120.0
    beside: Callable[[Any, Options], Options] = lambda options, _: options
