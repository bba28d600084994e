"""The configuration as the rest of the engine sees it: frozen, complete, and free of YAML.

`Settings` is what stands at the top of the file. Sources and targets keep the options model of their plugin,
which never shows in a `repr`: it may hold what came from the environment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from esm.clients.aws import AwsOptions
from esm.config.mapping_options import Count, MappingOptions, Rate
from esm.config.memory import default_limit
from esm.config.stream_options import StreamOptions
from esm.options import Duration, Listen, Options, address_of
from esm.plugins import DestinationPlugin, Kind, SourcePlugin, TargetPlugin

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
"""What a mapping or a target may be called, as a regular expression."""

_BYTES = re.compile(r"(\d+)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_SMALLEST_MEMORY = 16 * 1024 * 1024


def amount(value: object) -> object:
    """`"512MiB"`, `"1GB"`, `536870912` to bytes. Raises ValueError for text that is no amount."""
    if not isinstance(value, str):
        return value
    match = _BYTES.fullmatch(value.strip())
    if match is None:
        raise ValueError("is no amount of memory: write bytes as a number, or text such as 512MiB or 2GiB")
    power = " kmgt".index(match[2].lower() or " ")
    return int(match[1]) * int((1024 if match[3] else 1000) ** power)


def _keeps(value: str) -> str:
    if value in {"memory://", "memory:"}:
        return "memory://"
    scheme, _, path = value.partition("://")
    if scheme != "sqlite":
        raise ValueError("is no state store: memory:// or sqlite:///absolute/path.db")
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError("needs the absolute path of a file, as in a file URL: sqlite:///var/lib/esm/state.db")
    return f"sqlite:///{path.lstrip('/')}"


class State(Options):
    """Where positions are kept. Only streams have positions: a queue remembers by itself."""

    url: Annotated[str, AfterValidator(_keeps)] = "memory://"


class Server(Options):
    """Where metrics, health and status are served. Port 0 takes any free one."""

    listen: Listen = "127.0.0.1:9464"

    @property
    def host(self) -> str:
        """Without the brackets of an IPv6 address."""
        return address_of(self.listen)[0]

    @property
    def port(self) -> int:
        return address_of(self.listen)[1]


class Log(Options):
    """`auto` is JSON, but readable lines on a terminal."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(Options):
    """The top of the file, less `defaults`, `targets` and `mappings`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    namespace: Annotated[str, Field(min_length=1, max_length=128)] = "default"
    """The identity of the deployment: the ids of its mappings derive from it and their names."""

    aws: AwsOptions = AwsOptions()
    """Defaults for all AWS clients."""

    state: State = State()
    """Where positions in streams are kept."""

    server: Server = Server()
    """Metrics, health and status."""

    memory_limit: Annotated[
        int, BeforeValidator(amount, json_schema_input_type=int | str), Field(ge=_SMALLEST_MEMORY)
    ] = Field(default_factory=default_limit)
    """Bytes of records held over all mappings, such as 512MiB; half of what the container or machine has."""

    maximum_concurrency: Annotated[Count, Field(ge=1, le=100_000)] | None = None
    """Batches at targets at once, over all mappings, shared fairly between them."""

    shutdown_grace: Annotated[Duration, Field(ge=0, le=86_400, allow_inf_nan=False)] = 45.0
    """How long batches in flight may take to finish after SIGTERM."""

    log: Log = Log()
    """What is logged, and how."""

    strict_aws: bool = False
    """Refuse what AWS would not do, in all mappings that do not say otherwise."""

    @property
    def aws_defaults(self) -> Mapping[str, Any]:
        """What is given below `aws:`, as sources and targets take it."""
        return self.aws.model_dump(exclude_none=True)


class TargetLimits(Options):
    """What every target takes besides its own options."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    reserved_concurrency: Annotated[Count, Field(ge=0, le=100_000)] | None = None
    """Calls at once, shared fairly by all mappings that name the target; 0 switches it off."""

    invocations_per_second: Annotated[Rate, Field(gt=0, allow_inf_nan=False)] | None = None
    """Calls per second at most, over all mappings that name the target."""


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """One target: named in `targets:`, or written inline in a mapping and then named after it."""

    name: str
    plugin: TargetPlugin = field(repr=False)
    options: Any = field(repr=False)
    limits: TargetLimits


@dataclass(frozen=True, slots=True)
class SourceConfig:
    plugin: SourcePlugin = field(repr=False)
    options: Any = field(repr=False)
    kind: Kind


@dataclass(frozen=True, slots=True)
class DestinationConfig:
    """One on-failure destination."""

    plugin: DestinationPlugin = field(repr=False)
    options: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class OnFailureConfig:
    """The destination and its fallbacks, in that order; none where records are dropped."""

    destinations: tuple[DestinationConfig, ...] = ()
    annotate: bool = False


@dataclass(frozen=True, slots=True)
class MappingConfig:
    """One mapping; `target` is a key of `Config.targets`."""

    name: str
    id: str
    source: SourceConfig
    target: str
    options: MappingOptions | StreamOptions
    on_failure: OnFailureConfig = OnFailureConfig()


@dataclass(frozen=True, slots=True)
class Config:
    settings: Settings
    targets: Mapping[str, TargetConfig]
    mappings: Mapping[str, MappingConfig]
