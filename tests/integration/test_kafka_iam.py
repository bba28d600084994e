"""Identities of IAM, as Amazon MSK wants them shown: tokens of AWS's signer, through the client, to the broker."""

import itertools
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # type: ignore[import-untyped]
from kafka_members import in_thread, member, source_of, until

from esm.clients.aws import AwsOptions
from esm.clients.kafka.msk import IamTokens
from esm.errors import Disconnected
from esm.runtime.happenings import SourceFailed
from esm.sources.kafka import KafkaSource
from servers import SecuredKafka, Server, Topic, TopicMaker
from servers.iam_gate import IamGate, open_gate

NUMBERS = itertools.count()
REGION = "eu-north-1"
PROFILES = """\
[orders]
aws_access_key_id = AKIAORDERS
aws_secret_access_key = orders-secret
region = eu-north-1
"""


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").write_text(PROFILES)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest_asyncio.fixture
async def gate(kafka_secured: SecuredKafka) -> AsyncIterator[IamGate]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(kafka_secured.authority["broker.pem"], kafka_secured.authority["broker.key"])
    made = IamGate(REGION, "AKIAORDERS", "orders-secret", session=500)
    broker = int(kafka_secured.options("BEHIND")["bootstrap.servers"].rpartition(":")[2])
    async with open_gate(made, kafka_secured.gate_port, broker, tls) as opened:
        yield opened


@pytest.fixture
def topic(kafka_secured: SecuredKafka, make_topic: TopicMaker) -> Topic:
    return make_topic(kafka_secured.options("PLAINTEXT"))


def source(
    secured: SecuredKafka, topic: Topic, profile: str = "orders", region: str = REGION, **options: Any
) -> KafkaSource:
    there = Topic(topic.name, {"bootstrap.servers": f"127.0.0.1:{secured.gate_port}"})
    aws = {"region": region, "profile": profile}
    tls, sasl = {"ca": secured.authority["ca.pem"]}, {"mechanism": "AWS_MSK_IAM"}
    return source_of(there, f"iam-{next(NUMBERS)}", tls=tls, sasl=sasl, aws=aws, **options)


async def test_a_token_is_shown_and_renewed_before_it_expires(
    kafka_secured: SecuredKafka, topic: Topic, gate: IamGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MSKAuthTokenProvider, "DEFAULT_TOKEN_EXPIRY_SECONDS", 4)
    async with member(source(kafka_secured, topic)) as one:
        await in_thread(topic.produce, [b"x"])
        await until(lambda: len(one.events) == 1)
        shown = set(gate.shown)
        await until(lambda: set(gate.shown) - shown, "no session has seen another token")
        await in_thread(topic.produce, [b"x"])
        await until(lambda: len(one.events) == 2)
        assert one.all_told(SourceFailed) == []
    assert gate.refused == []


async def test_who_may_not_come_in_is_told(
    kafka_secured: SecuredKafka, topic: Topic, gate: IamGate, capfd: pytest.CaptureFixture[str]
) -> None:
    (finding,) = await source(kafka_secured, topic, region="eu-west-3").check()
    assert finding.text.startswith("Authentication: ")
    assert "is for kafka.eu-west-3.amazonaws.com" in finding.text
    assert gate.shown == []
    assert await source(kafka_secured, topic, settings={"debug": "all", "log_level": 7}).check() == ()
    told = capfd.readouterr().err
    assert "OAUTHBEARER" in told
    assert gate.shown[0] not in told
    (finding,) = await source(kafka_secured, topic, profile="nobody").check()
    assert finding.text == "NoCredentials: there is no profile 'nobody' in the AWS configuration"


def checking(access_key: str, secret_key: str) -> IamGate:
    return IamGate(REGION, access_key, secret_key, 0)


def test_whose_token_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            patch.delenv(name)
        token, expires = IamTokens(AwsOptions(profile="orders"), time.time).sign()
        with pytest.raises(Disconnected, match="no region is configured"):
            IamTokens(AwsOptions(), time.time).sign()
    assert checking("AKIAORDERS", "orders-secret").why_not(token) == ""
    assert expires == pytest.approx(time.time() + 900, abs=2)
    token, _ = IamTokens(AwsOptions(region=REGION), time.time).sign()
    assert checking("test", "test").why_not(token) == ""
    assert "is of test/" in checking("AKIAORDERS", "orders-secret").why_not(token)
    assert checking("test", "wrong").why_not(token) == "is not signed"


def test_a_role_is_taken_on_with_the_profile_at_its_endpoint(ministack: Server) -> None:
    aws = AwsOptions(
        profile="orders", role_arn="arn:aws:iam::000000000000:role/reader", endpoint_url=ministack.endpoint_url
    )
    token, _ = IamTokens(aws.over({"region": REGION}), time.time).sign()
    assert "is of ASIA" in checking("AKIAORDERS", "orders-secret").why_not(token)


def test_a_token_is_given_again_for_as_long_as_it_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    tokens = IamTokens(AwsOptions(region=REGION), lambda: now)
    token = tokens("")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert tokens("") == token
    now = token[1]
    with pytest.raises(Disconnected, match="no AWS credentials were found"):
        tokens("")
