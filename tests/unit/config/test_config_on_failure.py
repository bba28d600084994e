"""`destination_config` of a mapping from a stream: its spellings, what it means, and mistakes with their place."""

from textwrap import dedent, indent

import pytest

from esm.clients.kafka.options import KafkaTls
from esm.config.casing import normalised
from esm.config.catalog import Catalog
from esm.config.components import Components
from esm.config.models import OnFailureConfig, Settings, SourceConfig, TargetConfig, TargetLimits
from esm.config.on_failure import destinations_of, function_of, on_failure
from esm.config.parse import parse
from esm.config.report import Report
from esm.destinations import BUILT_IN
from esm.errors import ConfigError
from esm.options import TargetOptions
from esm.plugins import Kind, TargetPlugin
from esm.sources import kafka, kinesis
from esm.sources.kinesis import KinesisOptions
from esm.targets import http, python

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:failed"
CATALOG = Catalog({}, {}, {}, {plugin.name: plugin for plugin in BUILT_IN})


STREAM = SourceConfig(
    kinesis.PLUGIN, KinesisOptions(stream="arn:aws:kinesis:eu-west-1:123456789012:stream/s"), Kind.KINESIS
)
TOPIC = SourceConfig(
    kafka.PLUGIN,
    kafka.KafkaOptions.model_validate(
        {"bootstrap_servers": "b1:9092,b2:9092", "topic": "orders", "tls": True, "settings": {"client.id": "mine"}}
    ),
    Kind.KAFKA,
)


def resolved(text: str, source: SourceConfig = STREAM) -> OnFailureConfig:
    """What the text means as options of a mapping. Raises ConfigError."""
    report = Report()
    root = parse(f"m:\n{indent(dedent(text), '  ')}", "esm.yaml", report)
    assert root is not None
    body = normalised(root.entries["m"], report)
    found = on_failure(body.entries["destination_config"], source, Components(CATALOG, Settings(), report))
    report.raise_if_any()
    assert found is not None
    return found


def names(text: str, source: SourceConfig = STREAM) -> list[str]:
    return [plan.name for plan in destinations_of(resolved(text, source), Settings())]


def mistake(text: str, source: SourceConfig = STREAM) -> str:
    with pytest.raises(ConfigError) as caught:
        resolved(text, source)
    return str(caught.value)


def to(destination: str) -> str:
    return f"destination_config: {{on_failure: {{destination: {destination}}}}}"


def test_a_topic_without_brokers_is_one_of_the_sources_cluster() -> None:
    text = to("'kafka://failed'")
    assert names(text, TOPIC) == ["kafka://b1:9092,b2:9092/failed"]
    options = resolved(text, TOPIC).destinations[0].options
    assert (options.tls, options.settings) == (KafkaTls(), {"client.id": "mine"})


def test_a_topic_of_another_cluster_has_nothing_of_the_sources() -> None:
    for source in (STREAM, TOPIC):
        text = to("'kafka://elsewhere:9092/orders'")
        assert names(text, source) == ["kafka://elsewhere:9092/orders"]
        assert resolved(text, source).destinations[0].options.tls is None


@pytest.mark.parametrize(
    ("destination", "source", "said"),
    [
        ("'kafka://failed'", STREAM, "names no brokers, which means the cluster of the source"),
        ("'kafka://orders'", TOPIC, "is the topic of the source itself"),
        ("'kafka://b2:9092/orders'", TOPIC, "is the topic of the source itself"),
        ("{type: kafka, topic: failed, tls: true}", TOPIC, "tls and sasl are those of the source"),
        ("{type: kafka, topic: failed, settings: {acks: 1}}", TOPIC, "cannot hold acks"),
        (
            "{type: kafka, topic: failed, bootstrap_servers: 'b:1', value: record}",
            STREAM,
            "value: record is for records of Kafka",
        ),
    ],
)
def test_what_makes_no_sense_as_a_topic(destination: str, source: SourceConfig, said: str) -> None:
    assert said in mistake(to(destination), source)


@pytest.mark.parametrize(
    "text",
    [
        f"destination_config: {{on_failure: {{destination: '{QUEUE}'}}}}",
        f"destination_config: {{on_failure: {{destination_arn: '{QUEUE}'}}}}",
        f"DestinationConfig: {{OnFailure: {{Destination: '{QUEUE}'}}}}",
        f"destination_config: {{on_failure: {{destination: {{type: sqs, arn: '{QUEUE}'}}}}}}",
        f"destination_config: {{on_failure: {{destination: '{QUEUE}', fallback: null}}, on_success: {{}}}}",
    ],
)
def test_one_destination_in_every_spelling(text: str) -> None:
    assert names(text) == [QUEUE]
    assert not resolved(text).annotate


@pytest.mark.parametrize(
    "text",
    [
        "destination_config: {}",
        "destination_config: {on_failure: {}}",
        "destination_config: {on_failure: null}",
        'destination_config: {on_failure: {destination: ""}}',
        "DestinationConfig: {OnFailure: {Destination: null}}",
    ],
)
def test_none_in_every_spelling(text: str) -> None:
    assert resolved(text) == OnFailureConfig()


@pytest.mark.parametrize(("timeout", "own"), [("5s", 5.0), ("15m", 900.0)])
def test_a_delivery_may_take_as_long_as_the_limits_of_its_destination(timeout: str, own: float) -> None:
    """Of a web address: a connection and an answer, and once more where a kept connection was closed."""
    web = f"{{type: http, url: 'http://f/', timeout: {timeout}}}"
    text = f"destination_config: {{on_failure: {{destination: {web}, fallback: [{QUEUE}]}}}}"
    first, second = destinations_of(resolved(text), Settings())
    assert (first.patience > 4 * own, second.patience) == (True, 120.0)


def test_a_chain_in_its_order_and_an_annotation() -> None:
    text = f"""\
    destination_config:
      on_failure:
        destination:
          type: http
          url: https://failed.internal/in?token=hush
          headers: {{Authorization: Bearer hush, X-Team: Orders}}
        fallback:
          - {QUEUE}
          - s3://failed-orders
          - {{type: file, path: /var/lib/esm/failed.jsonl, rotate_at: 4096}}
        annotate: true
    """
    chosen = resolved(text)
    assert names(text) == [
        "https://failed.internal/in",
        QUEUE,
        "s3://failed-orders",
        "file:///var/lib/esm/failed.jsonl",
    ]
    assert chosen.annotate
    assert list(chosen.destinations[0].options.headers) == ["Authorization", "X-Team"]
    assert chosen.destinations[3].options.rotate_at == 4096
    assert "hush" not in repr(chosen)


async def test_each_can_be_opened_with_the_files_defaults() -> None:
    chosen = resolved(f"destination_config: {{on_failure: {{destination: '{QUEUE}', fallback: ['file:///x']}}}}")
    for plan in destinations_of(chosen, Settings.model_validate({"aws": {"region": "us-east-1"}})):
        async with plan.open() as destination:
            assert destination.deliver is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"destination_config:\n  on_failure:\n    destination: {QUEUE}.fifo",
            "esm.yaml:4: m.destination_config.on_failure.destination: ",
        ),
        (f"destination_config: {{on_failure: {{destination: '{QUEUE}.fifo'}}}}", "as on AWS"),
        (
            "destination_config: {on_failure: {destination: failed}}",
            "failed is no destination: write an ARN, s3://",
        ),
        ("destination_config: {on_failure: {destination: 'kafka://b1:9092'}}", "is no destination"),
        ("destination_config: {on_failure: {destination: {type: smtp}}}", "there is no destination of type smtp"),
        ("destination_config: {on_failure: {destination: {arn: x}}}", "on_failure.destination.type: is required"),
        (
            f"destination_config: {{on_failure: {{destination: '{QUEUE}', fallback: [nowhere]}}}}",
            "on_failure.fallback[0]: nowhere is no destination",
        ),
        (
            f"destination_config: {{on_failure: {{destination: '{QUEUE}', fallback: '{QUEUE}'}}}}",
            "failed is not allowed: has to be a list",
        ),
        ("destination_config: {on_failure: {fallback: ['file:///x']}}", "needs a destination"),
        ("destination_config: {on_failure: {annotate: true}}", "needs a destination"),
        ("destination_config: {on_failure: {destinaton: x}}", "unknown option; did you mean `destination`?"),
        (
            f"destination_config: {{on_success: {{destination: '{QUEUE}'}}}}",
            "Unsupported DestinationConfig parameter",
        ),
        ("destination_config: true", "has to be a mapping"),
        (
            f"destination_config: {{on_failure: {{destination: '{QUEUE}', destination_arn: '{QUEUE}'}}}}",
            "given twice",
        ),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, said: str) -> None:
    assert said in mistake(text)


class Named(TargetOptions):
    function_name: str


@pytest.mark.parametrize(
    ("name", "options", "called"),
    [
        ("billing", http.HttpOptions(url="http://billing.internal/"), "billing"),
        ("orders/target", http.HttpOptions(url="https://b.internal/in?key=hush#x"), "https://b.internal/in"),
        ("orders/target", python.PythonOptions(handler="billing:handler"), "billing:handler"),
        ("orders/target", Named(function_name="billing"), "billing"),
        ("billing", Named(function_name="arn:aws:lambda:r:1:function:f"), "arn:aws:lambda:r:1:function:f"),
        ("orders/target", TargetOptions(), "orders/target"),
    ],
)
def test_a_function_is_called_by_its_arn_or_as_in_the_file(name: str, options: TargetOptions, called: str) -> None:
    plugin = TargetPlugin("any", TargetOptions, lambda _: None, http.open_http)
    assert function_of(TargetConfig(name, plugin, options, TargetLimits())) == called
