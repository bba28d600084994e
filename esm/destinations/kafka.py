"""A topic of Kafka as destination: a message for each record, with the record's own key (see `kafka_messages`).

AWS's `kafka://TOPIC` is a topic on the source's own cluster; `kafka://HOST:PORT,…/TOPIC`, on any cluster and for
any source, is ours.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from esm.clients.aws import AwsOptions, lease
from esm.clients.kafka import NO_TOPIC
from esm.clients.kafka.access import Access
from esm.clients.kafka.asking import ask, partitions
from esm.clients.kafka.cluster import Cluster, access_of, aws_of, brokers_of, identity_of
from esm.clients.kafka.msk import NO_SIGNER, cluster_of, has_signer, to_find
from esm.clients.kafka.options import Brokers, ClusterArn, Sasl, Setting, Tls, TopicName, without
from esm.clients.kafka.producing import OF_PRODUCERS, TOO_LARGE, Producing, open_producing
from esm.clients.kafka.secrets import AccessEntry, to_read
from esm.clients.kafka.settings import OURS
from esm.destinations.kafka_messages import Form, messages_of, size_of
from esm.errors import Disconnected, Undeliverable
from esm.model import Finding, Notice
from esm.options import Duration, Options
from esm.plugins import DestinationContext, DestinationPlugin, Permission

_LINE = re.compile(r"kafka://(?:(?P<brokers>[^/\s]+)/)?(?P<topic>[^/\s:,]+)")
_REACHED = (
    "bootstrap_servers", "cluster_arn", "tls", "sasl", "source_access_configurations", "settings", "aws"
)  # fmt: skip
_OWN_CLUSTER = "names no brokers, which means the cluster of the source, and the source is none: write kafka://HOST:PORT/TOPIC"


def _parse(text: str) -> Mapping[str, Any] | None:
    found = _LINE.fullmatch(text)
    if found is None:
        return None
    given = {"bootstrap_servers": found["brokers"], "topic": found["topic"]}
    return {name: value for name, value in given.items() if value is not None}


class KafkaOptions(Options):
    """A topic. Without `bootstrap_servers` or `cluster_arn` it is one on the source's own cluster, as on AWS."""

    model_config = ConfigDict(use_attribute_docstrings=True, hide_input_in_errors=True)

    topic: TopicName
    """The topic's name."""

    bootstrap_servers: Brokers | None = None
    """Brokers to begin with, as a list or as host:port,host:port."""

    cluster_arn: ClusterArn | None = None
    """A cluster of Amazon MSK instead."""

    value: Form = "document"
    """What a message holds: AWS's document, or the record's own value with the document in a header."""

    max_bytes: Annotated[int, Field(ge=1024, le=104_857_600)] = 1_000_000
    """How large a message may be; brokers take 1 MiB where nobody has changed it."""

    timeout: Annotated[Duration, Field(ge=1, le=900)] = 30.0
    """How long the brokers may take."""

    tls: Tls = None
    """As for a source."""

    sasl: Sasl | None = None
    """As for a source."""

    source_access_configurations: Annotated[tuple[AccessEntry, ...], Field(max_length=29)] = ()
    """As for a source."""

    settings: Annotated[Mapping[str, Setting], AfterValidator(without(OURS | OF_PRODUCERS))] = {}
    """Settings of librdkafka, by their own names, for what has no option here."""

    aws: AwsOptions = AwsOptions()
    """Instead of the file's `aws:`, for Amazon MSK."""

    @model_validator(mode="after")
    def _reached_one_way(self) -> Self:
        if self.bootstrap_servers is not None and self.cluster_arn is not None:
            raise ValueError(
                "needs one of bootstrap_servers and cluster_arn, or none for the source's own cluster"
            )
        if not _is_elsewhere(self) and (self.tls or self.sasl or self.source_access_configurations):
            raise ValueError("tls and sasl are those of the source, where there are no bootstrap_servers")
        if self.source_access_configurations and (self.tls is not None or self.sasl is not None):
            raise ValueError("source_access_configurations say what tls and sasl say: give one or the other")
        return self


class KafkaDestination:
    """Implements `Destination` and `Checkable`."""

    def __init__(self, options: KafkaOptions, access: Access, producing: Producing) -> None:
        self._options = options
        self._access = access
        self._producing = producing

    async def deliver(self, notice: Notice) -> None:
        """Where the topic takes less than `max_bytes`, the largest message is cut until it is taken."""
        limit = self._options.max_bytes
        while True:
            messages = messages_of(notice, self._options.value, limit)
            try:
                await self._producing.send(messages)
            except Disconnected as problem:
                if problem.code != TOO_LARGE:
                    raise Undeliverable(f"{_called(self._options)}: {problem}") from None
                limit = max(map(size_of, messages)) - 1
            else:
                return

    async def check(self) -> Sequence[Finding]:
        """Asks for the topic, which makes none."""
        try:
            settings = {**await self._access.settings(), **self._options.settings, "group.id": "esm"}
            await ask(settings, partitions(self._options.topic))
        except Disconnected as problem:
            cure = ": make it, or correct the destination" if problem.code == NO_TOPIC else ""
            return [Finding(broken=True, text=f"{_called(self._options)}: {problem}{cure}")]
        return []


@asynccontextmanager
async def open_kafka(options: KafkaOptions, context: DestinationContext) -> AsyncIterator[KafkaDestination]:
    """Raises ValueError when AWS's signer is needed and not there."""
    identity = identity_of(options)
    if identity is not None and identity.mechanism == "AWS_MSK_IAM" and not has_signer():
        raise ValueError(NO_SIGNER)
    access = access_of(options, aws_of(options, context.aws), lease)

    async def reach() -> Mapping[str, Any]:
        return {**await access.settings(), **options.settings}

    topic, timeout, max_bytes = options.topic, options.timeout, options.max_bytes
    async with open_producing(reach, topic, timeout=timeout, max_bytes=max_bytes) as producing:
        yield KafkaDestination(options, access, producing)


def _is_elsewhere(options: KafkaOptions) -> bool:
    """Whether it names a cluster of its own."""
    return options.bootstrap_servers is not None or options.cluster_arn is not None


def _beside(options: KafkaOptions, source: Options) -> KafkaOptions:
    """With the source's own cluster, where none is named. Raises ValueError, also for the source's own topic."""
    if not _is_elsewhere(options):
        if not isinstance(source, Cluster):
            raise ValueError(_OWN_CLUSTER)
        settings = {**source.settings, **options.settings}
        options = options.model_copy(
            update={name: getattr(source, name) for name in _REACHED} | {"settings": settings}
        )
    if not isinstance(source, Cluster):
        if options.value == "record":
            raise ValueError("value: record is for records of Kafka: leave it away")
        return options
    brokers, theirs = set(options.bootstrap_servers or ()), set(source.bootstrap_servers or ())
    is_same = brokers & theirs or (options.cluster_arn is not None and options.cluster_arn == source.cluster_arn)
    if is_same and options.topic == getattr(source, "topic", None):
        raise ValueError(
            "is the topic of the source itself, which would read it again for ever: write another one"
        )
    return options


def _called(options: KafkaOptions) -> str:
    where = options.cluster_arn or brokers_of(options)
    return f"kafka://{where}/{options.topic}" if where else f"kafka://{options.topic}"


def _permissions(options: KafkaOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    """https://docs.aws.amazon.com/msk/latest/developerguide/iam-access-control.html."""
    arn, identity, role = options.cluster_arn, identity_of(options), aws_of(options, aws).role_arn
    secrets = to_read(options.source_access_configurations, role)
    if arn is None:
        return secrets
    brokers, cluster = to_find(arn, role), cluster_of(arn)
    if identity is None or identity.mechanism != "AWS_MSK_IAM":
        return (*brokers, *secrets)
    topic = f"{cluster.replace(':cluster/', ':topic/', 1)}/{options.topic}"
    return (
        *brokers,
        Permission(("kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"), cluster, role),
        Permission(("kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"), topic, role),
    )


def _patience(options: KafkaOptions) -> float:
    """Before a message waits, the brokers of a cluster may have to be asked for, and secrets."""
    return 2 * options.timeout + 30.0


PLUGIN = DestinationPlugin(
    "kafka", KafkaOptions, _parse, open_kafka, _called, _permissions, patience=_patience, beside=_beside
)
