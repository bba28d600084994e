"""Topics in YAML: AWS's spellings and ours, what is refused, and what becomes of it."""

from pathlib import Path
from typing import cast

import pytest
from config_fakes import written

from esm.config import load
from esm.config.assemble import assemble
from esm.config.catalog import Catalog
from esm.config.load import Loaded
from esm.config.topic_options import TopicOptions
from esm.destinations import BUILT_IN
from esm.errors import ConfigError
from esm.plugins import SourcePlugin
from esm.runtime.plan import LogPlan
from esm.sources import kafka, sqs
from esm.sources.kafka import KafkaOptions, KafkaSource
from esm.targets import http
from esm.world import real_world

CATALOG = Catalog(
    cast("dict[str, SourcePlugin]", {each.PLUGIN.name: each.PLUGIN for each in (sqs, kafka)}),
    {"http": http.PLUGIN},
    {},
    {plugin.name: plugin for plugin in BUILT_IN},
)
TOPIC = "source: kafka://b1:9092,b2:9092/orders"
OLDEST = "starting_position: TRIM_HORIZON"
QUEUE = "destination_config: {on_failure: {destination: 'arn:aws:sqs:eu-west-1:123456789012:failed'}}"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:kafka"


def body(*options: str) -> str:
    lines = "".join(f"    {line}\n" for option in options for line in option.splitlines())
    return f"mappings:\n  m:\n    target: http://f:8080/\n{lines}"


def loaded(tmp_path: Path, *options: str) -> Loaded:
    return load(written(tmp_path, body(*options)), catalog=CATALOG, environ={})


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(written(tmp_path, text), catalog=CATALOG, environ={})
    return [problem.removeprefix(f"{tmp_path}/") for problem in raised.value.problems]


def source_in(found: Loaded) -> KafkaOptions:
    options = found.config.mappings["m"].source.options
    assert isinstance(options, KafkaOptions)
    return options


def options_in(found: Loaded) -> TopicOptions:
    options = found.config.mappings["m"].options
    assert isinstance(options, TopicOptions)
    return options


def test_a_topic_in_one_line(tmp_path: Path) -> None:
    found = loaded(tmp_path, TOPIC, OLDEST)
    assert (source_in(found).brokers, source_in(found).topic) == ("b1:9092,b2:9092", "orders")
    plan = assemble(found.config, world=real_world())
    mapping = plan.mappings["m"]
    assert isinstance(mapping, LogPlan)
    assert isinstance(mapping.source, KafkaSource)
    assert (mapping.options.batch_size, mapping.options.window) == (100, 0.5)
    assert mapping.source._group == mapping.id
    assert plan.store is None, "a group keeps positions itself"
    assert not found.warnings


AWS = f"""\
SelfManagedEventSource: {{Endpoints: {{KAFKA_BOOTSTRAP_SERVERS: ["b1:9092", "b2:9092"]}}}}
Topics: [orders]
StartingPosition: TRIM_HORIZON
SelfManagedKafkaEventSourceConfig: {{ConsumerGroupId: g1}}
ProvisionedPollerConfig: {{MinimumPollers: 1, MaximumPollers: 10}}
SourceAccessConfigurations:
  - {{Type: VPC_SUBNET, URI: subnet-1}}
  - {{Type: SASL_SCRAM_512_AUTH, URI: "{SECRET}"}}"""


def test_a_topic_as_cloudformation_has_it(tmp_path: Path) -> None:
    found = loaded(tmp_path, AWS)
    source = source_in(found)
    assert (source.brokers, source.topic, source.consumer_group_id) == ("b1:9092,b2:9092", "orders", "g1")
    assert [(entry.type, entry.uri) for entry in source.source_access_configurations] == [
        ("SASL_SCRAM_512_AUTH", SECRET)
    ]
    assert sorted(warning.partition("mappings.m.")[2].partition(":")[0] for warning in found.warnings) == [
        "ProvisionedPollerConfig",
        "SourceAccessConfigurations",
    ]
    assert any("its VPC entries have no meaning here" in warning for warning in found.warnings)


def test_a_topic_of_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = "arn:aws:kafka:eu-west-1:123456789012:cluster/c/uuid-2"
    lines = (f"source: {cluster}", "topics: [orders]", OLDEST)
    monkeypatch.setattr(kafka, "has_signer", lambda: False)
    assert problems(tmp_path, body(*lines)) == [
        "esm.yaml:4: mappings.m.source: AWS_MSK_IAM needs AWS's signer: pip install aws-msk-iam-sasl-signer-python"
    ]
    monkeypatch.setattr(kafka, "has_signer", lambda: True)
    config = "amazon_managed_kafka_event_source_config: {consumer_group_id: g}"
    source = source_in(loaded(tmp_path, *lines, config))
    assert (source.cluster_arn, source.topic, source.consumer_group_id) == (cluster, "orders", "g")
    assert source.identity is not None
    assert source.identity.mechanism == "AWS_MSK_IAM"


def test_retries_end_where_there_is_a_destination(tmp_path: Path) -> None:
    """D14."""
    found = loaded(tmp_path, TOPIC, OLDEST, QUEUE)
    assert options_in(found).maximum_retry_attempts == 10
    (warning,) = found.warnings
    assert "maximum_retry_attempts is 10, as on AWS" in warning
    forever = loaded(tmp_path, TOPIC, OLDEST, QUEUE, "maximum_retry_attempts: -1")
    assert (options_in(forever).maximum_retry_attempts, forever.warnings) == (-1, ())
    strict = loaded(tmp_path, TOPIC, OLDEST, QUEUE, "maximum_retry_attempts: -1", "strict_aws: true")
    assert options_in(strict).maximum_retry_attempts == 10
    assert options_in(loaded(tmp_path, TOPIC, OLDEST)).maximum_retry_attempts == -1


WRONG = {
    "": "starting_position: is required but missing: TRIM_HORIZON, LATEST or, but for DynamoDB, AT_TIMESTAMP",
    f"{OLDEST}\nparallelization_factor: 101": "parallelization_factor: 101 is out of range: allowed is 1 to 100",
    f"{OLDEST}\nmaximum_batching_window_in_seconds: 1.5": "maximum_batching_window_in_seconds: 1.5 has to be",
    f"{OLDEST}\nscaling_config: {{maximum_concurrency: 5}}": "scaling_config: is not supported for topics",
    f"{OLDEST}\ntumbling_window_in_seconds: 30": "tumbling_window_in_seconds: is not in this version",
    f"{OLDEST}\nmax_hold: 5m": "max_hold: is not for topics of self-managed Kafka: only queues have it",
    f"{OLDEST}\nstrict_aws: true\nparallelization_factor: 2": "parallelization_factor: is not for Kafka on AWS",
    f"{OLDEST}\nconsumer_group_id: g": "consumer_group_id: belongs below `source`",
    "starting_position: earliest": "starting_position: earliest is not allowed: allowed are TRIM_HORIZON, LATEST, "
    "AT_TIMESTAMP; did you mean `TRIM_HORIZON`?",
    "starting_position: AT_TIMESTAMP": "source: starting_position AT_TIMESTAMP needs starting_position_timestamp",
}


@pytest.mark.parametrize(("given", "said"), WRONG.items(), ids=[given[30:70] or "no position" for given in WRONG])
def test_what_a_topic_does_not_take(tmp_path: Path, given: str, said: str) -> None:
    (problem,) = problems(tmp_path, body(TOPIC, given))
    assert f"mappings.m.{said}" in problem


def kafka_source(more: str) -> str:
    return f"source: {{type: kafka, {more}}}"


BAD_SOURCES = {
    "topic: t": "needs one of bootstrap_servers and cluster_arn",
    "bootstrap_servers: b, topic: t": "holds 'b', which is no host:port",
    "bootstrap_servers: 'b:1', topic: a b": "is no topic",
    "bootstrap_servers: 'SASL_SSL://b:1', topic: t": "is no host:port; TLS and who we are is what `tls`",
    "bootstrap_servers: 'b:1', topic: t, settings: {group.id: g, auto.offset.reset: e}": (
        "cannot hold auto.offset.reset, group.id: the engine"
    ),
    "bootstrap_servers: 'b:1', topic: t, tls: on": "tls: on has to be true, false, or PEM files",
    "bootstrap_servers: 'b:1', topic: t, sasl: {mechanism: PLAIN}": "PLAIN needs username",
    "bootstrap_servers: 'b:1', topic: t, sasl: {mechanism: PLAIN, username: u}": "PLAIN needs one of password and",
    "bootstrap_servers: 'b:1', topic: t, sasl: {mechanism: OAUTHBEARER, client_id: c}": "needs client_secret",
    "bootstrap_servers: 'b:1', topic: t, sasl: {mechanism: AWS_MSK_IAM, username: u}": "has no username",
    "bootstrap_servers: 'b:1', topic: t, tls: {certificate: c}": "certificate and key go together",
    "bootstrap_servers: 'b:1', topic: t, source_access_configurations: [{type: BASIC_AUTH, uri: me}]": (
        "BASIC_AUTH needs the ARN of a secret"
    ),
}


OTHERS = {
    "brokers": "bootstrap_servers",
    "security_protocol": "tls",
    "username": "sasl",
}


@pytest.mark.parametrize(("word", "meant"), OTHERS.items())
def test_what_other_clients_call_it(tmp_path: Path, word: str, meant: str) -> None:
    """Spelling alone would lead from `group_id` to `group_instance_id`."""
    given = f"bootstrap_servers: 'b:1', topic: t, {word}: w"
    (problem,) = problems(tmp_path, body(kafka_source(given), OLDEST))
    assert problem.endswith(f"source.{word}: unknown option; did you mean `{meant}`?")


def test_two_mappings_of_one_group_would_share_a_topic(tmp_path: Path) -> None:
    def two(more: str) -> str:
        first = kafka_source("bootstrap_servers: 'b:1', topic: t, consumer_group_id: g")
        second = body(kafka_source(f"bootstrap_servers: ['b:1'], topic: t{more}"), OLDEST, "batch_size: 7")
        return body(first, OLDEST) + second.removeprefix("mappings:\n").replace("  m:", "  n:").replace(
            "//f", "//g"
        )

    (problem,) = problems(tmp_path, two(", consumer_group_id: g"))
    assert "mappings.n.source.consumer_group_id: is the group of `m` too" in problem
    for apart in ("", ", consumer_group_id: h"):
        assert len(load(written(tmp_path, two(apart)), catalog=CATALOG, environ={}).config.mappings) == 2


@pytest.mark.parametrize(("given", "said"), BAD_SOURCES.items())
def test_what_is_wrong_with_a_source(tmp_path: Path, given: str, said: str) -> None:
    found = problems(tmp_path, body(kafka_source(given), OLDEST))
    assert len(found) == 1
    assert said in found[0]


def test_a_password_is_never_repeated(tmp_path: Path) -> None:
    given = "bootstrap_servers: 'b:1', topic: t, sasl: {mechanism: PLAIN, password: hunter2}"
    (problem,) = problems(tmp_path, body(kafka_source(given), OLDEST))
    assert "hunter2" not in problem


def test_a_registry_is_not_there_yet(tmp_path: Path) -> None:
    config = "SelfManagedKafkaEventSourceConfig: {SchemaRegistryConfig: {EventRecordFormat: JSON}}"
    (problem,) = problems(tmp_path, body(kafka_source("bootstrap_servers: 'b:1', topic: t"), OLDEST, config))
    assert "SchemaRegistryConfig: is not in this version" in problem
