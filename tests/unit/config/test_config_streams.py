"""Mappings from streams: AWS's options, ranges and texts, and the plan that comes of them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, cast

import pytest
from config_fakes import written
from config_schema_check import errors
from ruamel.yaml import YAML

from esm.config import Catalog, assemble, json_schema, load
from esm.destinations import BUILT_IN
from esm.errors import ConfigError
from esm.plugins import SourcePlugin
from esm.runtime.plan import LogOptions, LogPlan
from esm.sources import dynamodb, kinesis, sqs
from esm.stores import MemoryStore
from esm.targets import http
from esm.world import real_world

CATALOG = Catalog(
    cast("dict[str, SourcePlugin]", {each.PLUGIN.name: each.PLUGIN for each in (sqs, kinesis, dynamodb)}),
    {"http": http.PLUGIN},
    {},
    {plugin.name: plugin for plugin in BUILT_IN},
)
KINESIS = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
DYNAMODB = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-31T08:00:00.000"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:failed"
OLDEST = "starting_position: TRIM_HORIZON"


def body(*options: str, source: str = KINESIS) -> str:
    """A file with one mapping; its options start in line 5."""
    lines = "".join(f"    {line}\n" for option in options for line in option.splitlines())
    return f"mappings:\n  m:\n    source: '{source}'\n    target: http://f:8080/\n{lines}"


def planned(tmp_path: Path, text: str) -> LogPlan:
    config = load(written(tmp_path, text), catalog=CATALOG, environ={"AGE": "-1"}).config
    (plan,) = assemble(config, world=real_world()).mappings.values()
    assert isinstance(plan, LogPlan)
    return plan


def problems(tmp_path: Path, text: str) -> Sequence[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), catalog=CATALOG, environ={})
    return [problem.partition("esm.yaml:")[2] for problem in caught.value.problems]


@pytest.mark.parametrize("source", [KINESIS, DYNAMODB])
def test_what_is_not_said_has_awss_defaults(tmp_path: Path, source: str) -> None:
    plan = planned(tmp_path, body(OLDEST, source=source))
    assert plan.options == LogOptions()
    assert (plan.options.batch_size, plan.options.maximum_retry_attempts, plan.options.maximum_record_age) == (
        100,
        None,
        None,
    )
    assert (plan.enabled, plan.on_failure, plan.annotate, plan.filters) == (True, (), False, None)
    assert plan.function == "http://f:8080/"


CLOUDFORMATION = f"""\
targets: {{billing: {{type: http, url: "http://b/"}}}}
mappings:
  m:
    EventSourceArn: {KINESIS}
    FunctionName: billing
    StartingPosition: AT_TIMESTAMP
    StartingPositionTimestamp: 1769846400
    BatchSize: 10000
    MaximumBatchingWindowInSeconds: 300
    ParallelizationFactor: 10
    MaximumRetryAttempts: 10000
    MaximumRecordAgeInSeconds: 604800
    BisectBatchOnFunctionError: true
    TumblingWindowInSeconds: 0
    FunctionResponseTypes: [ReportBatchItemFailures]
    FilterCriteria: {{Filters: [{{Pattern: '{{"data": {{"n": [1]}}}}'}}]}}
    DestinationConfig: {{OnFailure: {{Destination: "{QUEUE}"}}}}
"""
TERRAFORM = f"""\
targets: {{billing: {{type: http, url: "http://b/"}}}}
mappings:
  m:
    event_source_arn: {KINESIS}
    function_name: billing
    starting_position: AT_TIMESTAMP
    starting_position_timestamp: 2026-01-31T08:00:00Z
    batch_size: 10000
    maximum_batching_window_in_seconds: 300
    parallelization_factor: 10
    maximum_retry_attempts: 10000
    maximum_record_age_in_seconds: 7d
    bisect_batch_on_function_error: true
    tumbling_window_in_seconds: 0
    function_response_types: [ReportBatchItemFailures]
    filter_criteria: {{filter: {{pattern: '{{"data": {{"n": [1]}}}}'}}}}
    destination_config: {{on_failure: {{destination_arn: "{QUEUE}"}}}}
"""


@pytest.mark.parametrize("text", [CLOUDFORMATION, TERRAFORM], ids=["CloudFormation", "Terraform"])
def test_what_others_call_it_pastes_in_unchanged(tmp_path: Path, text: str) -> None:
    plan = planned(tmp_path, text)
    assert plan.options == LogOptions(
        batch_size=10_000,
        window=300,
        parallelization_factor=10,
        maximum_retry_attempts=10_000,
        maximum_record_age=604_800,
        bisect=True,
        reports_failures=True,
    )
    assert [to.name for to in plan.on_failure] == [QUEUE]
    assert plan.function == "billing"
    assert plan.filters is not None
    assert vars(plan.source)["_begin"].time == 1769846400
    document = YAML(typ="safe", pure=True).load(text.replace("2026-01-31T08:00:00Z", "'2026-01-31T08:00:00Z'"))
    assert errors(document, json_schema(CATALOG)) == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("batch_size: 0", "0 is out of range: allowed is 1 to 10000"),
        ("batch_size: 10001", "10001 is out of range: allowed is 1 to 10000"),
        ("maximum_batching_window_in_seconds: 301", "301 is out of range: allowed is 0 to 300 seconds"),
        ("parallelization_factor: 11", "11 is out of range: allowed is 1 to 10"),
        ("maximum_retry_attempts: -2", "-2 is out of range: allowed is -1 to 10000"),
        (
            "maximum_record_age_in_seconds: 59",
            "59 is out of range: allowed is -1, or 60 to 604800 seconds",
        ),
        (
            "maximum_record_age_in_seconds: 8d",
            "8d is out of range: allowed is -1, or 60 to 604800 seconds",
        ),
        ("checkpoint_interval: 0", "0 is out of range: allowed is 0.1 to 60 seconds"),
        (
            "tumbling_window_in_seconds: 30",
            "is not in this version, which has no tumbling windows: leave it away, or set it to 0",
        ),
        (
            "scaling_config: {maximum_concurrency: 5}",
            (
                "is not supported for Kinesis streams: SQS standard and SQS FIFO support it; use "
                "parallelization_factor"
            ),
        ),
        ("concurrency: 5", "is not for Kinesis streams: only queues have it; use parallelization_factor"),
        ("max_hold: 5s", "is not for Kinesis streams: only queues have it"),
        ("fifo_failure: group", "is not supported for Kinesis streams: only SQS FIFO has message groups"),
        ("paralelization_factor: 2", "unknown option; did you mean `parallelization_factor`?"),
        (
            "starting_position_timestamp: 5",
            "goes with starting_position AT_TIMESTAMP, and only with it",
        ),
        (
            "starting_position_timestamp: 1769846400000",
            "1769846400000 is in milliseconds: write epoch seconds, or text such as 2026-01-31T08:00:00Z",
        ),
        (
            "starting_position_timestamp: yesterday",
            "yesterday is no time: write epoch seconds, or text such as 2026-01-31T08:00:00Z",
        ),
    ],
)
def test_a_mistake_is_said_where_it_stands(tmp_path: Path, option: str, said: str) -> None:
    assert problems(tmp_path, body(option, OLDEST)) == [f"5: mappings.m.{option.partition(':')[0]}: {said}"]


@pytest.mark.parametrize("source", [KINESIS, DYNAMODB])
def test_a_position_is_required_in_awss_words(tmp_path: Path, source: str) -> None:
    (said,) = problems(tmp_path, body(source=source))
    assert said.startswith("2: mappings.m.starting_position: is required but missing: TRIM_HORIZON, LATEST")
    assert "1 validation error detected: Value null at 'startingPosition'" in said


def test_dynamodb_has_no_times(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, body("starting_position: AT_TIMESTAMP", source=DYNAMODB))
    assert f"Unsupported starting position for arn type: {DYNAMODB}" in said
    (said,) = problems(tmp_path, body(OLDEST, "starting_position_timestamp: 5", source=DYNAMODB))
    assert "is not supported for DynamoDB Streams: Kinesis," in said


def test_a_position_in_time_needs_the_time(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, body("starting_position: AT_TIMESTAMP"))
    assert "starting_position AT_TIMESTAMP needs starting_position_timestamp: epoch seconds, or text" in said


def test_a_table_goes_by_its_name(tmp_path: Path) -> None:
    table = DYNAMODB.partition("/stream")[0]
    text = body(OLDEST).replace(f"'{KINESIS}'", f"{{type: dynamodb, table: '{table}'}}")
    assert problems(tmp_path, text) == [
        f"3: mappings.m.source.table: '{table}' is an ARN: write the table's name, orders"
    ]


def test_success_has_no_destination_as_on_aws(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, body(OLDEST, f"DestinationConfig: {{OnSuccess: {{Destination: '{QUEUE}'}}}}"))
    assert "Unsupported DestinationConfig parameter for given event source mapping type." in said


def test_a_stream_option_of_ours_is_not_for_queues(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, body("checkpoint_interval: 5s", source=QUEUE))
    assert (
        said
        == "5: mappings.m.checkpoint_interval: is not for SQS standard queues: only streams and topics have it"
    )


def test_one_mapping_per_stream_and_function_in_awss_words(tmp_path: Path) -> None:
    more = f"  n:\n    source: {KINESIS}\n    target: http://f:8080/\n    {OLDEST}\n"
    (said,) = problems(tmp_path, body(OLDEST) + more)
    assert "same stream and target as `m`" in said
    assert (
        f'The event source arn (" {KINESIS} ") and function (" http://f:8080/ ") provided mapping already' in said
    )


def test_destinations_and_their_fallbacks_in_order(tmp_path: Path) -> None:
    chain = f"on_failure: {{destination: '{QUEUE}', fallback: ['s3://failed-orders'], annotate: true}}"
    plan = planned(tmp_path, body(OLDEST, f"destination_config: {{{chain}}}"))
    assert [to.name for to in plan.on_failure] == [QUEUE, "s3://failed-orders"]
    assert plan.annotate


def test_no_limit_may_come_from_the_environment(tmp_path: Path) -> None:
    text = body(OLDEST, "maximum_record_age_in_seconds: ${AGE}", "maximum_retry_attempts: ${AGE}")
    options = planned(tmp_path, text).options
    assert (options.maximum_record_age, options.maximum_retry_attempts) == (None, None)


def test_a_default_is_for_the_kinds_that_take_it(tmp_path: Path) -> None:
    text = body(OLDEST) + (
        f"  q: {{source: '{QUEUE}', target: 'http://f:8080/'}}\n"
        "defaults: {parallelization_factor: 3, concurrency: 7, "
        "function_response_types: [ReportBatchItemFailures]}\n"
    )
    config = load(written(tmp_path, text), catalog=CATALOG, environ={}).config
    plans: dict[str, Any] = dict(assemble(config, world=real_world()).mappings)
    assert (plans["m"].options.parallelization_factor, plans["m"].options.reports_failures) == (3, True)
    assert (plans["q"].options.concurrency, plans["q"].options.reports_failures) == (7, True)


async def test_positions_are_kept_where_the_file_says(tmp_path: Path) -> None:
    def store_of(text: str) -> AbstractAsyncContextManager[Any]:
        plan = assemble(load(written(tmp_path, text), catalog=CATALOG, environ={}).config, world=real_world())
        assert plan.store is not None
        return plan.store()

    async with store_of(body(OLDEST)) as store:
        assert isinstance(store, MemoryStore)
    async with store_of(f"{body(OLDEST)}state: {{url: 'sqlite://{tmp_path}/state.db'}}\n"):
        assert (tmp_path / "state.db").exists()
    queues = load(written(tmp_path, body(source=QUEUE)), catalog=CATALOG, environ={}).config
    assert assemble(queues, world=real_world()).store is None


def test_what_a_filter_never_matches_is_passed_over_and_not_deleted(tmp_path: Path) -> None:
    pattern = "filter_criteria: {filters: [{pattern: {body: {status: [paid]}}}]}"
    config = load(written(tmp_path, body(OLDEST, pattern)), catalog=CATALOG, environ={})
    (warning,) = config.warnings
    assert warning.endswith("so this never matches, and what no pattern matches is passed over")
