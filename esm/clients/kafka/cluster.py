"""Which brokers options mean, and how they are reached: the same for a topic as source and as destination."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from esm.clients.aws import AwsOptions, Lease
from esm.clients.kafka.access import Access
from esm.clients.kafka.options import KafkaTls, Sasl, Setting
from esm.clients.kafka.secrets import AccessEntry


@runtime_checkable
class Cluster(Protocol):
    """Options that name brokers, or the ARN of a cluster of Amazon MSK, and say who we are."""

    @property
    def bootstrap_servers(self) -> tuple[str, ...] | None: ...

    @property
    def cluster_arn(self) -> str | None: ...

    @property
    def tls(self) -> KafkaTls | None: ...

    @property
    def sasl(self) -> Sasl | None: ...

    @property
    def source_access_configurations(self) -> tuple[AccessEntry, ...]: ...

    @property
    def settings(self) -> Mapping[str, Setting]: ...

    @property
    def aws(self) -> AwsOptions: ...


def brokers_of(cluster: Cluster) -> str:
    """As clients take them; empty if they have to be asked for."""
    return ",".join(cluster.bootstrap_servers or ())


def identity_of(cluster: Cluster) -> Sasl | None:
    """Who we are; a cluster of Amazon MSK needs no more than the engine's own identity on AWS."""
    given = cluster.sasl or cluster.tls or cluster.source_access_configurations
    if not given and cluster.cluster_arn is not None:
        return Sasl(mechanism="AWS_MSK_IAM")
    return cluster.sasl


def aws_of(cluster: Cluster, defaults: Mapping[str, Any]) -> AwsOptions:
    """How to reach AWS: the cluster's ARN says where, its `aws` and `defaults` say the rest."""
    aws = cluster.aws.over(defaults)
    region = cluster.cluster_arn.split(":")[3] if cluster.cluster_arn else aws.region
    return aws.model_copy(update={"region": region})


def access_of(cluster: Cluster, aws: AwsOptions, lease: Lease) -> Access:
    """`aws` is what `aws_of` gives."""
    return Access(
        brokers_of(cluster),
        cluster.cluster_arn,
        cluster.tls,
        identity_of(cluster),
        cluster.source_access_configurations,
        aws,
        lease,
    )
