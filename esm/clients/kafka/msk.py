"""What only Amazon MSK has: brokers behind the ARN of a cluster, and identities of IAM.

https://docs.aws.amazon.com/msk/latest/developerguide/iam-access-control.html; tokens are AWS's own library's.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from botocore.credentials import (  # type: ignore[import-untyped]
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import NoCredentialsError, NoRegionError  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]

from esm.clients.aws import AwsOptions, Lease
from esm.clients.aws_errors import translated
from esm.errors import Disconnected
from esm.plugins import Permission

_SIGNER = "aws_msk_iam_sasl_signer"
_STRINGS = {
    "AWS_MSK_IAM": "SaslIam",
    "SCRAM-SHA-256": "SaslScram",
    "SCRAM-SHA-512": "SaslScram",
    "TLS": "Tls",
    "PLAINTEXT": "",
}
NO_SIGNER = "AWS_MSK_IAM needs AWS's signer: pip install aws-msk-iam-sasl-signer-python"


def has_signer() -> bool:
    """Whether AWS's library is installed."""
    return find_spec(_SIGNER) is not None


class IamTokens:
    """Tokens for the identity that `aws` stands for, in its region, asked for whenever one is about to expire.

    One that cannot be made anew is given out again for as long as it is good. `wall` is epoch seconds.
    """

    def __init__(self, aws: AwsOptions, wall: Callable[[], float]) -> None:
        self._aws = aws
        self._wall = wall
        self._who = _Who(aws)
        self._last = ("", 0.0)

    def __call__(self, _: str) -> tuple[str, float]:
        """Raises `Disconnected` when the last one has expired."""
        try:
            return self.sign()
        except Disconnected:
            if self._last[1] <= self._wall():
                raise
        return self._last

    def sign(self) -> tuple[str, float]:
        """A token, and when it expires, in epoch seconds. May ask AWS for credentials. Raises `Disconnected`."""
        signer = import_module(f"{_SIGNER}.MSKAuthTokenProvider")
        with translated("IAM"):
            made = signer.generate_auth_token_from_credentials_provider(self._who.region(), self._who)
        self._last = made[0], made[1] / 1000
        return self._last


@cache
def iam_tokens(aws: AwsOptions) -> IamTokens:
    """The same for every client of that identity."""
    return IamTokens(aws, time.time)


class _Who(CredentialProvider):  # type: ignore[misc]
    """The same identity as in every other call to AWS, as AWS's signer wants it told.

    The signer itself would take on a role without the profile and the endpoint of `aws`, and anew for each token.
    """

    METHOD = "esm"

    def __init__(self, aws: AwsOptions) -> None:
        self._aws = aws
        self._assumed = DeferredRefreshableCredentials(self._assume, "assume-role")

    def region(self) -> str:
        """Of the cluster."""
        found = self._aws.region or Session(profile=self._aws.profile).get_config_variable("region")
        if not found:
            raise NoRegionError
        return str(found)

    def load(self) -> Any:
        """Called for each token."""
        who = self._assumed if self._aws.role_arn else self._own(Session(profile=self._aws.profile))
        return who.get_frozen_credentials()

    def _own(self, chain: Any) -> Any:
        found = chain.get_credentials()
        if found is None:
            raise NoCredentialsError
        return found

    def _assume(self) -> Any:
        sts, chain = self._aws.sts, Session(profile=self._aws.profile)

        def client(service: str, **keys: Any) -> Any:
            return chain.create_client(service, region_name=sts.region, endpoint_url=sts.endpoint_url, **keys)

        extra = {"RoleSessionName": "esm-engine"}
        return AssumeRoleCredentialFetcher(client, self._own(chain), sts.role_arn, extra).fetch_credentials()


def cluster_of(arn: str) -> str:
    """The cluster that a VPC connection leads to, whose own id it does not say; another ARN as it is."""
    connection, _, named = arn.partition(":vpc-connection/")
    if not named:
        return arn
    account, _, cluster = named.partition("/")
    return f"{connection.rpartition(':')[0]}:{account}:cluster/{cluster.partition('/')[0]}/*"


def to_find(arn: str, role: str | None) -> Sequence[Permission]:
    """What has to be allowed for `brokers_of`, to `role` if there is one."""
    asked = Permission(("kafka:GetBootstrapBrokers",), cluster_of(arn), role)
    if ":vpc-connection/" not in arn:
        return (asked,)
    return (Permission(("kafka:DescribeVpcConnection",), arn, role), asked)


async def brokers_of(arn: str, mechanism: str, aws: AwsOptions, lease: Lease) -> str:
    """The brokers' addresses for that way of proving who we are; public ones where the cluster has no others.

    Of a cluster, or of a VPC connection to one of another account. Raises `Disconnected`.
    """
    with translated("Kafka"):
        async with lease("kafka", aws) as client:
            if ":vpc-connection/" not in arn:
                answer = await client.cold.get_bootstrap_brokers(ClusterArn=arn)
                return _chosen(answer, ("", "Public"), mechanism, arn)
            connection = await client.cold.describe_vpc_connection(Arn=arn)
            answer = await client.cold.get_bootstrap_brokers(ClusterArn=connection["TargetClusterArn"])
            return _chosen(answer, ("VpcConnectivity",), mechanism, arn)


def _chosen(answer: Mapping[str, Any], ways: Sequence[str], mechanism: str, arn: str) -> str:
    kind = _STRINGS.get(mechanism)
    for way in ways:
        if kind is not None and (brokers := answer.get(f"BootstrapBrokerString{way}{kind}")):
            return str(brokers)
    has = [name.removeprefix("BootstrapBrokerString") or "Plaintext" for name, text in answer.items() if text]
    offers = ", ".join(name for name in has if name != "ResponseMetadata")
    raise Disconnected(
        "NoBrokers", f"{arn} has no brokers for {mechanism}: it offers {offers or 'none'}", lasting=True
    )
