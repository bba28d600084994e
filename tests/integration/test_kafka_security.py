"""Brokers that want to know whom they speak to: every way in, wrong ones, and a password that changes."""

import base64
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from kafka_members import in_thread, member, source_of, until

from esm.clients.kafka import asking
from esm.clients.kafka.access import Identity
from esm.runtime.happenings import Remarked, SourceFailed
from esm.runtime.lane_happenings import LaneStarted
from esm.sources.kafka import KafkaSource, renewal
from servers.kafka_secured import PASSWORDS, SecuredKafka
from servers.topics import Topic, TopicMaker

NUMBERS = itertools.count()
WAYS = {
    **{f"SASL {kind}": ("SASL", {"sasl": kind}) for kind in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")},
    **{f"SASLTLS {kind}": ("SASLTLS", {"sasl": kind}) for kind in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")},
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


ALICE = {"username": "alice", "password": PASSWORDS["alice"]}
WRONG: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "password": (
        "SASL",
        {"sasl": {"mechanism": "SCRAM-SHA-256", "username": "alice", "password": "hunter2"}},
        "Authentication",
        "check sasl, or the secret that says who we are",
    ),
    "mechanism": (
        "OAUTH",
        {"sasl": {"mechanism": "PLAIN", **ALICE}},
        "Authentication",
        "set sasl.mechanism to one that the brokers have there",
    ),
    "no SASL there": ("PLAINTEXT", {"sasl": {"mechanism": "PLAIN", **ALICE}}, "Authentication", "leave sasl out"),
    "authority": ("TLS", {"tls": True}, "TLS", "set tls.ca to the authority"),
    "no certificate": ("MTLS", {"tls": {"ca": "ca.pem"}}, "TLS", "check tls.certificate and tls.key"),
    "no TLS there": ("SASL", {"tls": {"ca": "ca.pem"}}, "TLS", "the brokers speak no TLS there"),
    "file": ("TLS", {"tls": {"ca": "none.pem"}}, "Authentication", "none.pem: No such file or directory"),
    "key of another": (
        "MTLS",
        {"tls": {"ca": "ca.pem", "certificate": "client.pem", "key": "broker.key"}},
        "TLS",
        "check the PEM files of tls",
    ),
    "may do nothing": (
        "SASL",
        {"sasl": {"mechanism": "PLAIN", "username": "bob", "password": PASSWORDS["bob"]}},
        "AccessDenied",
        "authorization failed",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_way_is_told_with_its_cure(
    kafka_secured: SecuredKafka, topic: Topic, group: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_AT_A_TIME", 0.5)
    listener, options, code, cure = WRONG[what]
    if isinstance(files := options.get("tls"), dict):
        options = {**options, "tls": {name: kafka_secured.authority[file] for name, file in files.items()}}
    source = entering(kafka_secured, topic, group, listener, **options)
    (finding,) = await source.check()
    assert finding.broken
    assert finding.text.startswith(f"{code}: ")
    assert cure in finding.text
    for secret in ("hunter2", *PASSWORDS.values()):
        assert secret not in finding.text
    async with member(source) as one:
        await until(lambda: one.all_told(SourceFailed))
        assert one.all_told(SourceFailed)[0].code == code


async def test_a_group_that_we_may_not_join_is_named(
    kafka_secured: SecuredKafka, topic: Topic, group: str
) -> None:
    """Its name may be nothing but the mapping's id, and an ACL has to have it."""
    await in_thread(may_read, kafka_secured, "bob", topic.name)
    bob = {"mechanism": "PLAIN", "username": "bob", "password": PASSWORDS["bob"]}
    (finding,) = await entering(kafka_secured, topic, group, "SASL", sasl=bob).check()
    assert finding.text.startswith(f"AccessDenied: group {group}: ")


def may_read(secured: SecuredKafka, user: str, topic: str) -> None:
    admin = AdminClient({**secured.options("PLAINTEXT"), "log_level": 0})
    what = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL)
    allowed = AclBinding(*what, f"User:{user}", "*", AclOperation.READ, AclPermissionType.ALLOW)
    for future in admin.create_acls([allowed]).values():
        future.result(20)


async def test_brokers_that_hang_up_without_a_word(
    kafka_secured: SecuredKafka, topic: Topic, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_AT_A_TIME", 0.1)
    monkeypatch.setattr(asking, "_PATIENCE", 0.5)
    (finding,) = await entering(kafka_secured, topic, group, "TLS").check()
    assert finding.text.startswith("unreachable: ")
    assert "they may want tls or sasl" in finding.text


async def test_certificates_that_change_are_taken_up(
    kafka_secured: SecuredKafka, topic: Topic, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pair that is half replaced nothing is made."""
    monkeypatch.setattr(renewal, "_EVERY", 0.2)
    authority = kafka_secured.authority
    files = {"certificate": authority["client.pem"], "key": authority["client.key"]}
    ours = {name: str(shutil.copy(file, tmp_path / name)) for name, file in files.items()}
    tls = {"ca": authority["ca.pem"], **ours}
    async with member(entering(kafka_secured, topic, group, "MTLS", tls=tls)) as one:
        await until(lambda: one.all_told(LaneStarted))
        await in_thread(authority.chained, "client")
        for name, file in (("certificate", "client.chain.pem"), ("key", "client.chained.key")):
            shutil.copy(authority[file], ours[name])
        await until(lambda: len(one.all_told(LaneStarted)) == 2)
        await in_thread(topic.produce, [b"x"])
        await until(lambda: one.events)
        assert not one.all_told(SourceFailed)
        assert "joined anew" in one.all_told(Remarked)[-1].text


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_the_client_itself_says_no_secret_either(
    kafka_secured: SecuredKafka, topic: Topic, group: str, mechanism: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even when it is asked to tell all."""
    said = options_of(kafka_secured, "SASLTLS", {"sasl": mechanism})
    source = entering(kafka_secured, topic, group, "SASLTLS", **said, settings={"debug": "all", "log_level": 7})
    assert await source.check() == ()
    told = capfd.readouterr().err
    assert mechanism in told
    for secret in (PASSWORDS["alice"], base64.b64encode(PASSWORDS["alice"].encode()).decode()):
        assert secret not in told


async def test_a_password_that_changes_is_taken_up(
    kafka_secured: SecuredKafka, topic: Topic, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "_EVERY", 0.05)
    taken: list[Identity] = []
    take_up = renewal._take_up

    def noting(found: Identity, who: renewal.Renewed) -> None:
        take_up(found, who)
        taken.append(found)

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
            await until(lambda: [one.settings["sasl.password"] for one in taken] == ["changed"])
            await in_thread(topic.produce, [b"x"])
            await until(lambda: one.events)
            assert not one.all_told(SourceFailed)
    finally:
        await in_thread(kafka_secured.set_password, "alice", PASSWORDS["alice"])
