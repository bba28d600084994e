"""A catalog of made-up plugins: the loader knows sources and targets only through their plugin."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import Field, model_validator

from esm.config import Catalog, Loaded, load
from esm.errors import ConfigError
from esm.model import DataKeys
from esm.options import Options, Secret, TargetOptions
from esm.plugins import Kind, SourceContext, SourcePlugin, TargetContext, TargetPlugin
from esm.ports import QueueSource, Target

_ARN = re.compile(r"arn:aws:sqs:[a-z0-9-]+:\d{12}:[\w.-]+")
ORDERS = "arn:aws:sqs:eu-west-1:123456789012:orders"
FIFO = f"{ORDERS}.fifo"


class SqsAws(Options):
    region: str | None = None
    endpoint_url: str | None = None


class SqsOptions(Options):
    arn: Annotated[str, Field(pattern=_ARN.pattern)] | None = None
    queue_url: str | None = None
    aws: SqsAws = SqsAws()
    wait_time_seconds: Annotated[int, Field(ge=1, le=20)] = 20

    @model_validator(mode="after")
    def one_of_both(self) -> "SqsOptions":
        if (self.arn is None) == (self.queue_url is None):
            raise ValueError("needs either arn or queue_url")
        return self


class Tls(Options):
    ca: str
    verify: bool = True


class HttpOptions(TargetOptions):
    url: Annotated[str, Field(pattern=r"^https?://")]
    headers: Mapping[str, Secret] = {}
    bearer: Secret | None = None
    tls: Tls | None = None
    max_connections: Annotated[int, Field(gt=0)] = 100


class Made(SimpleNamespace):
    """What a fake plugin made, with what it was given."""


def _make(options: Any, context: SourceContext) -> QueueSource:
    if options.queue_url and "nonsense" in options.queue_url:
        raise ValueError(f"{options.queue_url} is no queue")
    return Made(options=options, context=context)


@asynccontextmanager
async def _open(options: Any, context: TargetContext) -> AsyncIterator[Target]:
    yield Made(options=options, context=context)


SQS = SourcePlugin(
    name="sqs",
    options=SqsOptions,
    parse=lambda text: {"arn": text} if text.startswith("arn:aws:sqs:") else None,
    kind=lambda options: Kind.FIFO if (options.arn or options.queue_url).endswith(".fifo") else Kind.SQS,
    make=_make,
    data_keys=DataKeys(("body",), fields=frozenset({"body", "messageAttributes", "eventSource"})),
)
HTTP = TargetPlugin(
    name="http",
    options=HttpOptions,
    parse=lambda text: {"url": text} if text.startswith(("http://", "https://")) else None,
    open=_open,
)
CATALOG = Catalog({"sqs": SQS}, {"http": HTTP})


def written(folder: Path, text: str, name: str = "esm.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))
    return file


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    return load(written(folder, text), catalog=CATALOG, environ=environ or {})


def problems(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with a file, less the folder's name; it has to be something."""
    return problems_in(written(folder, text), folder, environ)


def problems_in(path: Path, folder: Path, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, catalog=CATALOG, environ=environ or {})
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def body(options: str = "", *, source: str = ORDERS, target: str = "http://f:8080/") -> str:
    """A file with one mapping; its options start in line 5."""
    lines = "".join(f"    {line}\n" for line in dedent(options).strip("\n").splitlines())
    return f"mappings:\n  m:\n    source: {source}\n    target: {target}\n{lines}"
