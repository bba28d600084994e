"""Tokens that an issuer gives out by OIDC, which brokers check with its keys, and which expire while we read."""

import base64
import itertools
import time
from typing import Any

import pytest
from kafka_members import in_thread, member, source_of, until

from esm.clients.kafka import asking
from esm.sources.kafka import KafkaSource
from servers import SecuredKafka, Topic, TopicMaker
from servers.issuer import CLIENT, Endpoint, token_endpoint

NUMBERS = itertools.count()
_SECONDS = 7  # a client asks again after four fifths; a broker lets nobody show two within a second


@pytest.fixture
def topic(kafka_secured: SecuredKafka, make_topic: TopicMaker) -> Topic:
    return make_topic(kafka_secured.options("PLAINTEXT"))


def source(
    secured: SecuredKafka, topic: Topic, endpoint: Endpoint, secret: str = CLIENT[1], **options: Any
) -> KafkaSource:
    there = Topic(topic.name, {"bootstrap.servers": secured.options("OIDC")["bootstrap.servers"]})
    sasl = {
        "mechanism": "OAUTHBEARER",
        "client_id": CLIENT[0],
        "client_secret": secret,
        "token_endpoint_url": endpoint.url,
        "scope": "topics",
        "extensions": {"logicalCluster": "lkc-1", "identityPoolId": "pool-1"},
    }
    tls = {"ca": secured.authority["ca.pem"]}
    return source_of(there, f"oidc-{next(NUMBERS)}", tls=tls, sasl=sasl, **options)


async def test_a_token_is_renewed_while_we_read(kafka_secured: SecuredKafka, topic: Topic) -> None:
    """A broker hangs up on whoever has not shown a new one by the time that the old one expires, for good."""
    with token_endpoint(lambda: kafka_secured.issuer.token("alice", _SECONDS)) as endpoint:
        async with member(source(kafka_secured, topic, endpoint)) as one:
            await in_thread(topic.produce, [b"x"])
            await until(lambda: len(one.events) == 1)
            expired = time.time() + _SECONDS
            await until(lambda: time.time() > expired)
            await in_thread(topic.produce, [b"x"])
            await until(lambda: len(one.events) == 2)
    assert {form["scope"] for form in endpoint.given} == {"topics"}


@pytest.mark.parametrize("what", ["secret", "audience"])
async def test_who_is_not_known_is_told(
    kafka_secured: SecuredKafka, topic: Topic, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_AT_A_TIME", 0.5)
    made = kafka_secured.issuer.token("alice", 60, "somebody else" if what == "audience" else "kafka")
    with token_endpoint(lambda: made) as endpoint:
        wrong = source(kafka_secured, topic, endpoint, "wrong" if what == "secret" else CLIENT[1])
        (finding,) = await wrong.check()
    assert finding.text.startswith("Authentication: ")
    cure = {"secret": "check token_endpoint_url, client_id, client_secret", "audience": "check sasl"}
    assert cure[what] in finding.text
    assert made not in finding.text
    assert CLIENT[1] not in finding.text


async def test_the_client_itself_says_no_secret_either(
    kafka_secured: SecuredKafka, topic: Topic, capfd: pytest.CaptureFixture[str]
) -> None:
    made = kafka_secured.issuer.token("alice", 60)
    with token_endpoint(lambda: made) as endpoint:
        assert (
            await source(kafka_secured, topic, endpoint, settings={"debug": "all", "log_level": 7}).check() == ()
        )
    told = capfd.readouterr().err
    assert "OAUTHBEARER" in told
    for secret in (made, CLIENT[1], base64.b64encode(":".join(CLIENT).encode()).decode()):
        assert secret not in told
