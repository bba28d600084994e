"""What AWS has to allow for a topic: to find brokers, to read secrets, and with IAM to read."""

from typing import Any

import pytest

from esm.destinations import kafka as destination
from esm.sources.kafka import PLUGIN

SECRET = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:AmazonMSK_esm-AbCdEf"
CLUSTER = "arn:aws:kafka:eu-west-1:111111111111:cluster/orders/u-1"
CONNECTION = "arn:aws:kafka:eu-west-1:111111111111:vpc-connection/222222222222/orders/u-2"
THEIRS = "arn:aws:kafka:eu-west-1:222222222222:cluster/orders/*"
BY_SECRET = {"source_access_configurations": [{"type": "SASL_SCRAM_512_AUTH", "uri": SECRET}]}
TO_READ = ("secretsmanager:GetSecretValue", SECRET)

CASES: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "own brokers": ({"bootstrap_servers": "b:1"}, set()),
    "own brokers, a secret": ({"bootstrap_servers": "b:1", **BY_SECRET}, {TO_READ}),
    "a secret": ({"cluster_arn": CLUSTER, **BY_SECRET}, {("kafka:GetBootstrapBrokers", CLUSTER), TO_READ}),
    "a connection": (
        {"cluster_arn": CONNECTION, **BY_SECRET},
        {("kafka:DescribeVpcConnection", CONNECTION), ("kafka:GetBootstrapBrokers", THEIRS), TO_READ},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_has_to_be_allowed(case: str) -> None:
    given, wanted = CASES[case]
    for plugin in (PLUGIN, destination.PLUGIN):
        found = plugin.permissions(plugin.options.model_validate({"topic": "t", **given}), {})
        assert {(action, each.resource) for each in found for action in each.actions} == wanted


def test_with_iam_on_the_cluster_of_another_account() -> None:
    given = {"topic": "t", "cluster_arn": CONNECTION, "consumer_group_id": "g"}
    found = PLUGIN.permissions(PLUGIN.options.model_validate(given), {})
    assert {each.resource for each in found} == {
        CONNECTION,
        THEIRS,
        THEIRS.replace(":cluster/", ":topic/") + "/t",
        THEIRS.replace(":cluster/", ":group/") + "/g",
    }
