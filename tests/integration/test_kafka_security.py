"""Brokers that want to know whom they speak to: every way in, wrong ones, and a password that changes."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from kafka_members import in_thread, member, source_of, until

from esm.runtime.happenings import SourceFailed
from esm.runtime.lane_happenings import LaneStarted
from esm.sources.kafka import KafkaSource, renewal
from servers.kafka_secured import PASSWORDS, SecuredKafka
from servers.topics import Topic, TopicMaker

NUMBERS = itertools.count()
WAYS = {
    **{f"SASL {kind}": ("SASL", {"sasl": kind}) for kind in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")},
    **{f"SASLTLS {kind}": ("SASLTLS", {"sasl": kind}) for kind in ("PLAIN", "SCRAM-SHA-512")},
    "MTLS": ("MTLS", {}),
}


@pytest.fixture
def topic(kafka_secured: SecuredKafka, make_topic: TopicMaker) -> Topic:
    return make_topic(kafka_secured.options("PLAINTEXT"))


@pytest.fixture
def group() -> str:
    return f"secured-{next(NUMBERS)}"


def entering(secured: SecuredKafka, topic: Topic, group: str, listener: str, **options: Any) -> KafkaSource:
    there = Topic(topic.name, {"bootstrap.servers": secured.options(listener)["bootstrap.servers"]})
    return source_of(there, group, **options)


def options_of(secured: SecuredKafka, listener: str, said: dict[str, str]) -> dict[str, Any]:
    tls = {"ca": secured.authority["ca.pem"]}
    if listener == "MTLS":
        tls |= {"certificate": secured.authority["client.pem"], "key": secured.authority["client.key"]}
    sasl = {"mechanism": said["sasl"], "username": "alice", "password": PASSWORDS["alice"]} if said else None
    return {"tls": tls if "TLS" in listener else None, "sasl": sasl}


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_in(kafka_secured: SecuredKafka, topic: Topic, group: str, way: str) -> None:
    listener, said = WAYS[way]
    await in_thread(topic.produce, [b"x"])
    source = entering(kafka_secured, topic, group, listener, **options_of(kafka_secured, listener, said))
    assert await source.check() == ()
    async with member(source) as one:
        await until(lambda: one.events)


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "password": (
        "SASL",
        {"sasl": {"mechanism": "SCRAM-SHA-256", "username": "alice", "password": "no"}},
        "Authentication",
    ),
    "mechanism": (
        "OAUTH",
        {"sasl": {"mechanism": "PLAIN", "username": "alice", "password": "no"}},
        "Authentication",
    ),
    "authority": ("TLS", {"tls": True}, "TLS"),
    "may do nothing": (
        "SASL",
        {"sasl": {"mechanism": "PLAIN", "username": "bob", "password": PASSWORDS["bob"]}},
        "AccessDenied",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_way_is_told(kafka_secured: SecuredKafka, topic: Topic, group: str, what: str) -> None:
    listener, options, code = WRONG[what]
    source = entering(kafka_secured, topic, group, listener, **options)
    async with asyncio.timeout(25):
        (finding,) = await source.check()
    assert finding.broken
    assert finding.text.startswith(f"{code}: ")
    async with member(source) as one:
        await until(lambda: one.all_told(SourceFailed))
        assert one.all_told(SourceFailed)[0].code == code


async def test_a_password_that_changes_is_taken_up(
    kafka_secured: SecuredKafka, topic: Topic, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "_EVERY", 0.05)
    taken: list[str] = []
    take_up = renewal._take_up

    def noting(username: str, password: str, consumer: Consumer) -> None:
        take_up(username, password, consumer)
        taken.append(password)

    monkeypatch.setattr(renewal, "_take_up", noting)
    file = tmp_path / "password"
    file.write_text(f"{PASSWORDS['alice']}\n")
    sasl = {"mechanism": "SCRAM-SHA-256", "username": "alice", "password_file": str(file)}
    source = entering(kafka_secured, topic, group, "SASL", sasl=sasl, settings={"connections.max.idle.ms": 1000})
    try:
        async with member(source) as one:
            await until(lambda: one.all_told(LaneStarted))
            await in_thread(kafka_secured.set_password, "alice", "changed")
            file.write_text("changed\n")
            await until(lambda: taken == ["changed"])
            await in_thread(topic.produce, [b"x"])
            await until(lambda: one.events)
            assert not one.all_told(SourceFailed)
    finally:
        await in_thread(kafka_secured.set_password, "alice", PASSWORDS["alice"])
