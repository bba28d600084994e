"""What only Amazon MSK has: brokers behind the ARN of a cluster, and identities of IAM.

https://docs.aws.amazon.com/msk/latest/developerguide/iam-access-control.html; tokens are AWS's own library's.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from esm.clients.aws import AwsOptions, Lease
from esm.clients.aws_errors import translated
from esm.clients.kafka.settings import Tokens
from esm.errors import Disconnected

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


def iam_tokens(aws: AwsOptions) -> Tokens:
    """Tokens for the identity that `aws` stands for, in its region."""
    provider = import_module(f"{_SIGNER}.MSKAuthTokenProvider")

    def token(_: str) -> tuple[str, float]:
        if aws.role_arn:
            made = provider.generate_auth_token_from_role_arn(aws.region, aws.role_arn)
        elif aws.profile:
            made = provider.generate_auth_token_from_profile(aws.region, aws.profile)
        else:
            made = provider.generate_auth_token(aws.region)
        return made[0], made[1] / 1000

    return token


async def brokers_of(cluster_arn: str, mechanism: str, aws: AwsOptions, lease: Lease) -> str:
    """The brokers' addresses for that way of proving who we are; public ones where the cluster has no others.

    Raises `Disconnected`.
    """
    with translated("Kafka"):
        async with lease("kafka", aws) as client:
            answer = await client.cold.get_bootstrap_brokers(ClusterArn=cluster_arn)
    return _chosen(answer, mechanism, cluster_arn)


def _chosen(answer: dict[str, Any], mechanism: str, cluster_arn: str) -> str:
    kind = _STRINGS[mechanism]
    for name in (f"BootstrapBrokerString{kind}", f"BootstrapBrokerStringPublic{kind}"):
        if answer.get(name):
            return str(answer[name])
    has = [name.removeprefix("BootstrapBrokerString") or "Plaintext" for name, text in answer.items() if text]
    offers = ", ".join(name for name in has if name != "ResponseMetadata")
    raise Disconnected(
        "NoBrokers", f"{cluster_arn} has no brokers for {mechanism}: it offers {offers or 'none'}", lasting=True
    )
