"""What Amazon MSK has to allow whoever reads a topic: to find the brokers and, with IAM, to read and to commit.

https://docs.aws.amazon.com/msk/latest/developerguide/iam-access-control.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from esm.clients.kafka.msk import cluster_of, to_find
from esm.clients.kafka.secrets import to_read
from esm.plugins import Permission
from esm.sources.kafka.options import KafkaOptions

_OF_THE_CLUSTER = ("kafka-cluster:Connect", "kafka-cluster:DescribeCluster")
_OF_THE_TOPIC = ("kafka-cluster:DescribeTopic", "kafka-cluster:ReadData")
_OF_THE_GROUP = ("kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup")


def permissions(options: KafkaOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    """`aws`: the file's defaults. A cluster that is no one of Amazon MSK needs at most its secrets of AWS."""
    role = options.reach(aws).role_arn
    secrets = to_read(options.source_access_configurations, role)
    if options.cluster_arn is None:
        return secrets
    brokers, cluster = to_find(options.cluster_arn, role), cluster_of(options.cluster_arn)
    if options.identity is None or options.identity.mechanism != "AWS_MSK_IAM":
        return (*brokers, *secrets)
    below = cluster.split(":cluster/")
    group = options.consumer_group_id or "*"
    return (
        *brokers,
        Permission(_OF_THE_CLUSTER, cluster, role),
        Permission(_OF_THE_TOPIC, f"{below[0]}:topic/{below[-1]}/{options.topic}", role),
        Permission(_OF_THE_GROUP, f"{below[0]}:group/{below[-1]}/{group}", role),
    )
