"""The options of a Kafka source, and how a topic is named in one line: `kafka://b1:9092,b2:9092/topic`."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from esm.clients.aws import AwsOptions
from esm.clients.kafka.cluster import aws_of, brokers_of, identity_of
from esm.clients.kafka.options import CLUSTER, Brokers, ClusterArn, Sasl, Setting, Tls, TopicName, without
from esm.clients.kafka.secrets import AccessEntry
from esm.clients.kafka.settings import OURS
from esm.options import Duration, Options

_URL = re.compile(r"kafka://(?P<brokers>[^/\s]+)/(?P<topic>[^/\s]+)")


def parse(text: str) -> Mapping[str, Any] | None:
    """Options for a topic named in one line, None if this names none. The ARN of a cluster lacks its topic."""
    if CLUSTER.fullmatch(text):
        return {"cluster_arn": text}
    found = _URL.fullmatch(text)
    return None if found is None else {"bootstrap_servers": found["brokers"], "topic": found["topic"]}


class KafkaOptions(Options):
    """A topic, by brokers or by the ARN of a cluster of Amazon MSK."""

    model_config = ConfigDict(use_attribute_docstrings=True, hide_input_in_errors=True)

    bootstrap_servers: Brokers | None = None
    """Brokers to begin with, as a list or as host:port,host:port."""

    cluster_arn: ClusterArn | None = None
    """A cluster of Amazon MSK instead: its brokers are asked for."""

    topic: TopicName
    """The topic's name. For Amazon MSK, AWS's `topics: [NAME]` beside the source says the same."""

    consumer_group_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9\-/*:_+=.@]{1,200}$")] | None = None
    """The consumer group; the mapping's id, as on AWS, where there is none."""

    group_instance_id: Annotated[str, Field(min_length=1, max_length=249)] | None = None
    """Makes this process a static member: one that comes back soon keeps its partitions. Unique in the group."""

    group_protocol: Literal["classic", "consumer"] = "classic"
    """`consumer` is the newer protocol, from Apache Kafka 4.0 on (KIP-848)."""

    isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
    """Whether records of transactions are read that are not committed."""

    session_timeout: Annotated[Duration, Field(ge=1, le=1800)] = 45.0
    """How long the group waits for a process that is silent. Brokers set it for `group_protocol: consumer`."""

    drain: Annotated[Duration, Field(ge=0, le=240)] = 10.0
    """How long a partition that is taken away may finish the batches under way; the group waits meanwhile."""

    metadata_refresh: Annotated[Duration, Field(ge=1, le=3600)] = 60.0
    """How often it is looked whether the topic has more partitions."""

    tls: Tls = None
    """true, or PEM files of your own."""

    sasl: Sasl | None = None
    """Who we are; AWS_MSK_IAM where there is a `cluster_arn` and nothing else is said."""

    source_access_configurations: Annotated[tuple[AccessEntry, ...], Field(max_length=29)] = ()
    """AWS's words for `tls` and `sasl`: secrets in AWS Secrets Manager, looked at again while we read."""

    settings: Annotated[Mapping[str, Setting], AfterValidator(without(OURS))] = {}
    """Settings of librdkafka, by their own names, for what has no option here."""

    aws: AwsOptions = AwsOptions()
    """Instead of the file's `aws:`, for Amazon MSK."""

    @model_validator(mode="after")
    def _reached_one_way(self) -> Self:
        if (self.bootstrap_servers is None) == (self.cluster_arn is None):
            raise ValueError("needs one of bootstrap_servers and cluster_arn")
        if self.source_access_configurations and (self.tls is not None or self.sasl is not None):
            raise ValueError("source_access_configurations say what tls and sasl say: give one or the other")
        return self

    @property
    def brokers(self) -> str:
        """As clients take them; empty if they have to be asked for."""
        return brokers_of(self)

    @property
    def identity(self) -> Sasl | None:
        """Who we are; a cluster of Amazon MSK needs no more than the engine's own identity on AWS."""
        return identity_of(self)

    def reach(self, defaults: Mapping[str, Any]) -> AwsOptions:
        """How to reach AWS: the cluster's ARN says where, `aws` and `defaults` say the rest."""
        return aws_of(self, defaults)
