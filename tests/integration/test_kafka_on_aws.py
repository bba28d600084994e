"""Secrets that say who we are and clusters that are asked for their brokers, at an emulator of AWS."""

import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from botocore.validate import ParamValidator  # type: ignore[import-untyped]
from kafka_members import in_thread, member, source_of, until

from esm.clients.aws import AwsOptions, lease
from esm.clients.kafka import asking
from esm.clients.kafka.msk import brokers_of
from esm.errors import Disconnected
from esm.runtime.happenings import Remarked, SourceFailed
from esm.runtime.lane_happenings import LaneStarted
from esm.sources.kafka import KafkaSource, renewal
from servers import PASSWORDS, REGION, SecuredKafka, Server, Topic, TopicMaker

NUMBERS = itertools.count()
ALICE = {"username": "alice", "password": PASSWORDS["alice"]}
QUICK = {"reconnect.backoff.max.ms": 200}
Keep = Callable[..., str]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "_EVERY", 0.05)
    monkeypatch.setattr(asking, "_AT_A_TIME", 0.5)


@pytest.fixture
def keep(ministack: Server) -> Keep:
    """Keeps what it is given as a secret, and returns its ARN; again under the same ARN, if that is given."""
    client = boto3.client("secretsmanager", region_name=REGION, endpoint_url=ministack.endpoint_url)

    def keeping(holds: Any, arn: str = "") -> str:
        text = holds if isinstance(holds, str) else json.dumps(holds)
        if not arn:
            return str(client.create_secret(Name=f"AmazonMSK_{uuid.uuid4().hex}", SecretString=text)["ARN"])
        client.put_secret_value(SecretId=arn, SecretString=text)
        return arn

    return keeping


@pytest.fixture
def topic(kafka_secured: SecuredKafka, make_topic: TopicMaker) -> Topic:
    return make_topic(kafka_secured.options("PLAINTEXT"))


@pytest.fixture
def entering(
    kafka_secured: SecuredKafka, topic: Topic, ministack: Server, keep: Keep
) -> Callable[..., KafkaSource]:
    """A source of that listener with these secrets, by kind, and one for the brokers' authority."""
    authority = {"certificate": text(kafka_secured.authority["ca.pem"])}

    def source(listener: str, secrets: dict[str, str], **settings: Any) -> KafkaSource:
        there = Topic(topic.name, {"bootstrap.servers": kafka_secured.options(listener)["bootstrap.servers"]})
        arns = {"SERVER_ROOT_CA_CERTIFICATE": keep(authority), **secrets}
        given = [{"type": kind, "uri": arn} for kind, arn in arns.items()]
        aws = {"endpoint_url": ministack.endpoint_url}
        group = f"on-aws-{next(NUMBERS)}"
        return source_of(there, group, source_access_configurations=given, aws=aws, settings=settings)

    return source


def text(file: str) -> str:
    return Path(file).read_text()


@pytest.mark.parametrize("kind", ["BASIC_AUTH", "SASL_SCRAM_512_AUTH", "SASL_SCRAM_256_AUTH"])
async def test_a_secret_lets_us_in(entering: Callable[..., KafkaSource], keep: Keep, kind: str) -> None:
    assert await entering("SASLTLS", {kind: keep(ALICE)}).check() == ()


@pytest.mark.parametrize("password", [None, "pass phrase"])
async def test_a_certificate_in_a_secret_lets_us_in(
    kafka_secured: SecuredKafka, entering: Callable[..., KafkaSource], keep: Keep, password: str | None
) -> None:
    """Signed by an authority that the brokers do not know, but whose own certificate follows."""
    ours = kafka_secured.authority.chained("client", password)
    secret = {"certificate": text(ours["chain.pem"]), "privateKey": text(ours["key"])}
    if password is not None:
        secret["privateKeyPassword"] = password
    assert await entering("MTLS", {"CLIENT_CERTIFICATE_TLS_AUTH": keep(secret)}).check() == ()


UNFIT = {
    "no object": (
        "BASIC_AUTH",
        "alice-secret",
        "is no JSON object: BASIC_AUTH needs one with username and password",
    ),
    "no password": ("SASL_SCRAM_512_AUTH", {"username": "u", "Password": "hunter2"}, "has no password: "),
    "a number": ("SASL_SCRAM_256_AUTH", {"username": "u", "password": 12345678}, "has no password: "),
    "no key": (
        "CLIENT_CERTIFICATE_TLS_AUTH",
        {"certificate": "hunter2"},
        "needs one with certificate and privateKey",
    ),
    "no PEM": (
        "CLIENT_CERTIFICATE_TLS_AUTH",
        {"certificate": "hunter2", "privateKey": "hunter2"},
        "check the PEM",
    ),
}


@pytest.mark.parametrize("what", UNFIT)
async def test_a_secret_of_another_shape(entering: Callable[..., KafkaSource], keep: Keep, what: str) -> None:
    kind, holds, said = UNFIT[what]
    (finding,) = await entering("SASLTLS", {kind: keep(holds)}).check()
    assert finding.broken
    assert said in finding.text
    for secret in ("hunter2", "alice-secret", "12345678"):
        assert secret not in finding.text


async def test_a_secret_that_is_not_there(entering: Callable[..., KafkaSource]) -> None:
    missing = f"arn:aws:secretsmanager:{REGION}:000000000000:secret:missing-AbCdEf"
    (finding,) = await entering("SASLTLS", {"BASIC_AUTH": missing}).check()
    assert finding.text.startswith("NonExistentSecret: Error occurred while GetSecretValue. ")


async def test_a_secret_that_changes_is_taken_up(
    kafka_secured: SecuredKafka, topic: Topic, entering: Callable[..., KafkaSource], keep: Keep
) -> None:
    """The brokers want the password again every two seconds, and then the old one is of no use."""
    arn = keep(ALICE)
    try:
        async with member(entering("SASLTLS", {"SASL_SCRAM_512_AUTH": arn}, **QUICK)) as one:
            await until(lambda: one.all_told(LaneStarted))
            await in_thread(kafka_secured.set_password, "alice", "changed")
            await in_thread(keep, {**ALICE, "password": "changed"}, arn)
            await until(lambda: one.all_told(SourceFailed))
            await in_thread(topic.produce, [b"x"])
            await until(lambda: one.events)
            assert {told.code for told in one.all_told(SourceFailed)} == {"Authentication"}
    finally:
        await in_thread(kafka_secured.set_password, "alice", PASSWORDS["alice"])


async def test_another_authority_makes_us_join_anew(
    kafka_secured: SecuredKafka, topic: Topic, entering: Callable[..., KafkaSource], keep: Keep, monkeypatch: Any
) -> None:
    monkeypatch.setattr(renewal, "_SECRETS_EVERY", 0.2)
    pem = text(kafka_secured.authority["ca.pem"])
    arn = keep({"certificate": pem})
    async with member(entering("SASLTLS", {"BASIC_AUTH": keep(ALICE), "SERVER_ROOT_CA_CERTIFICATE": arn})) as one:
        await until(lambda: one.all_told(LaneStarted))
        await in_thread(keep, {"certificate": pem + pem}, arn)
        await until(lambda: len(one.all_told(LaneStarted)) == 2)
        await in_thread(topic.produce, [b"x"])
        await until(lambda: one.events)
        assert one.all_told(SourceFailed) == []
        assert "joined anew" in one.all_told(Remarked)[-1].text


@pytest.fixture
def cluster(ministack: Server) -> tuple[str, AwsOptions]:
    client = boto3.client("kafka", region_name=REGION, endpoint_url=ministack.endpoint_url)
    nodes = {"InstanceType": "kafka.t3.small", "ClientSubnets": ["a", "b"]}
    name = f"c{uuid.uuid4().hex[:8]}"
    made = client.create_cluster(
        ClusterName=name, KafkaVersion="3.8.x", NumberOfBrokerNodes=2, BrokerNodeGroupInfo=nodes
    )
    return made["ClusterArn"], AwsOptions(region=REGION, endpoint_url=ministack.endpoint_url)


PORTS = {"PLAINTEXT": 9092, "TLS": 9094, "SCRAM-SHA-512": 9096, "AWS_MSK_IAM": 9098}


async def test_a_cluster_is_asked_for_the_brokers_of_each_way_in(cluster: tuple[str, AwsOptions]) -> None:
    arn, aws = cluster
    for mechanism, port in PORTS.items():
        assert (await brokers_of(arn, mechanism, aws, lease)).endswith(f":{port}")
    with pytest.raises(Disconnected, match="no brokers for PLAIN: it offers Plaintext, Tls, SaslScram, SaslIam"):
        await brokers_of(arn, "PLAIN", aws, lease)


async def test_a_cluster_that_is_not_there(cluster: tuple[str, AwsOptions]) -> None:
    arn, aws = cluster
    with pytest.raises(Disconnected, match=r"GetBootstrapBrokers.* NotFoundException") as caught:
        await brokers_of(arn.replace(":cluster/c", ":cluster/other-"), "TLS", aws, lease)
    assert (caught.value.code, caught.value.lasting) == ("NonExistentCluster", True)


class Cluster:
    """What is asked of a cluster in another account, answered in the shapes of botocore's own model."""

    def __init__(self) -> None:
        self.refuses = ""
        self._model = botocore.session.Session().get_service_model("kafka")

    @asynccontextmanager
    async def lease(self, service: str, _: AwsOptions) -> AsyncIterator[Any]:
        assert service == "kafka"
        yield SimpleNamespace(cold=self)

    async def describe_vpc_connection(self, **asked: str) -> dict[str, Any]:
        return self._answered("DescribeVpcConnection", asked, {"TargetClusterArn": THEIRS})

    async def get_bootstrap_brokers(self, **asked: str) -> dict[str, Any]:
        assert asked == {"ClusterArn": THEIRS}
        ways = {f"BootstrapBrokerString{way}SaslIam": f"{way}:1" for way in ("", "Public", "VpcConnectivity")}
        return self._answered("GetBootstrapBrokers", asked, ways)

    def _answered(self, name: str, asked: dict[str, str], answer: dict[str, Any]) -> dict[str, Any]:
        operation = self._model.operation_model(name)
        for given, shape in ((asked, operation.input_shape), (answer, operation.output_shape)):
            report = ParamValidator().validate(given, shape)
            assert not report.has_errors(), report.generate_report()
        if self.refuses:
            raise ClientError({"Error": {"Code": self.refuses, "Message": "no"}}, name)
        return answer


THEIRS = "arn:aws:kafka:eu-west-1:222222222222:cluster/orders/u-1"


async def test_a_connection_to_a_cluster_of_another_account() -> None:
    cluster, arn = Cluster(), "arn:aws:kafka:eu-west-1:111111111111:vpc-connection/222222222222/orders/u-2"
    assert await brokers_of(arn, "AWS_MSK_IAM", AwsOptions(), cluster.lease) == "VpcConnectivity:1"
    with pytest.raises(Disconnected, match="no brokers for TLS: it offers SaslIam, PublicSaslIam"):
        await brokers_of(arn, "TLS", AwsOptions(), cluster.lease)
    cluster.refuses = "ForbiddenException"
    with pytest.raises(Disconnected, match=r"^AccessDenied: Error occurred while DescribeVpcConnection"):
        await brokers_of(arn, "TLS", AwsOptions(), cluster.lease)
