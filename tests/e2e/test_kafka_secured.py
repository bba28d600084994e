"""A daemon at brokers that let nobody in unknown, over TLS: it reads, gives up to a topic, and tells no secret."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from servers import PASSWORDS, SecuredKafka, Topic, TopicMaker

from .consumer import kafka_record
from .function import Answer, Call, Function, failing, function
from .harness import daemon, esm, until, write_config

_OPTIONS = {
    "batch_size": 1,
    "maximum_retry_attempts": 0,
    "maximum_batching_window_in_seconds": 0,
    "function_response_types": ["ReportBatchItemFailures"],
}


def picky(call: Call) -> Answer:
    """Takes everything but poison."""
    return failing(call, *(body for body in call.bodies if body == "poison"))


@pytest.fixture
def topics(kafka_secured: SecuredKafka, make_topic: TopicMaker) -> tuple[Topic, Topic]:
    return make_topic(kafka_secured.options("PLAINTEXT")), make_topic(kafka_secured.options("PLAINTEXT"))


def configured(secured: SecuredKafka, url: str, topics: tuple[Topic, Topic], folder: Path, **sasl: str) -> Path:
    (folder / "password").write_text(f"{PASSWORDS['alice']}\n")
    source = {
        "type": "kafka",
        "bootstrap_servers": secured.options("SASLTLS")["bootstrap.servers"],
        "topic": topics[0].name,
        "tls": {"ca": secured.authority["ca.pem"]},
        "sasl": {"mechanism": "SCRAM-SHA-512", "username": "alice", **sasl},
        "settings": {"debug": "security,broker", "log_level": 7},
    }
    orders: dict[str, Any] = {
        "source": source,
        "target": url,
        "starting_position": "TRIM_HORIZON",
        "destination_config": {"on_failure": {"destination": f"kafka://{topics[1].name}"}},
        **_OPTIONS,
    }
    return write_config(folder / "esm.yaml", "http://127.0.0.1:9", {"orders": orders}, log={"level": "debug"})


def tells_no_secret(text: str) -> None:
    for secret in (*PASSWORDS.values(), "hunter2"):
        assert secret not in text
        assert b64encode(secret.encode()).decode() not in text


@pytest.mark.timeout(120)
def test_what_is_read_and_given_up_over_tls(
    tmp_path: Path, kafka_secured: SecuredKafka, topics: tuple[Topic, Topic]
) -> None:
    orders, failed = topics
    orders.produce([b"one", b"poison", b"two"])
    with function(Function(kafka_record)) as served:
        served.behave = picky
        config = configured(kafka_secured, served.url, topics, tmp_path, password_file=str(tmp_path / "password"))
        checked = esm("validate", "--connect", "--config", config)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        with daemon(config) as running:
            until(lambda: sum(failed.ends().values()) == 1, "poison is in the topic")
            until(lambda: {body for call in tuple(served.calls) for body in call.bodies} >= {"one", "two"}, "done")
            shown = esm("status", "--url", running.url)
            told = "".join(map(running.get, ("/status", "/metrics")))
            tells_no_secret(told + shown.stdout + shown.stderr + checked.stdout + checked.stderr + running.output)
            assert json.loads(running.get("/status"))["mappings"]["orders"]["state"]


def test_who_is_not_let_in_is_told_before_the_start(
    tmp_path: Path, kafka_secured: SecuredKafka, topics: tuple[Topic, Topic]
) -> None:
    config = configured(kafka_secured, "http://127.0.0.1:9/", topics, tmp_path, password="hunter2")
    checked = esm("validate", "--connect", "--config", config)
    assert checked.returncode
    assert "check sasl, or the secret that says who we are" in checked.stdout + checked.stderr
    tells_no_secret(checked.stdout + checked.stderr)
