"""What Amazon MSK has to allow whoever reads a topic: to find the brokers and, with IAM, to read and to commit.

https://docs.aws.amazon.com/msk/latest/developerguide/iam-access-control.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from esm.clients.kafka.secrets import secrets_of
from esm.plugins import Permission
from esm.sources.kafka.options import KafkaOptions

_OF_THE_CLUSTER = ("kafka-cluster:Connect", "kafka-cluster:DescribeCluster")
_OF_THE_TOPIC = ("kafka-cluster:DescribeTopic", "kafka-cluster:ReadData")
_OF_THE_GROUP = ("kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup")


def permissions(options: KafkaOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    """`aws`: the file's defaults. A cluster that is no one of Amazon MSK needs at most its secrets of AWS."""
    role = options.reach(aws).role_arn
    arns = secrets_of(options.source_access_configurations)
    secrets = [Permission(("secretsmanager:GetSecretValue",), arn, role) for arn in arns]
    if options.cluster_arn is None:
        return secrets
    brokers = Permission(("kafka:GetBootstrapBrokers",), options.cluster_arn, role)
    if options.identity is None or options.identity.mechanism != "AWS_MSK_IAM":
        return (brokers, *secrets)
    below = options.cluster_arn.split(":cluster/")
    group = options.consumer_group_id or "*"
    return (
        brokers,
        Permission(_OF_THE_CLUSTER, options.cluster_arn, role),
        Permission(_OF_THE_TOPIC, f"{below[0]}:topic/{below[-1]}/{options.topic}", role),
        Permission(_OF_THE_GROUP, f"{below[0]}:group/{below[-1]}/{group}", role),
    )
