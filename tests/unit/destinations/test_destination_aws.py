"""Destinations at AWS: which calls they make, with what in them, and what becomes of a refusal."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError, ProfileNotFound  # type: ignore[import-untyped]
from destination_stub import Answers, StubLease

from esm.clients.aws import AwsOptions
from esm.core.notice import text_of
from esm.destinations import BUILT_IN
from esm.destinations import aws as shared
from esm.errors import Undeliverable
from esm.model import Finding, Notice
from esm.plugins import DestinationContext
from esm.ports import Checkable
from esm.testing.destination_suite import notice

PLUGINS = {plugin.name: plugin for plugin in BUILT_IN}
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:failed"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:failed"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:failed"
BUS = "arn:aws:events:eu-west-1:123456789012:event-bus/failed"
URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/failed"


@pytest.fixture
def lease(monkeypatch: pytest.MonkeyPatch) -> StubLease:
    return leased(monkeypatch, {"get_queue_url": {"QueueUrl": URL}})


def leased(
    monkeypatch: pytest.MonkeyPatch, answers: Answers | None = None, failure: Exception | None = None
) -> StubLease:
    stub = StubLease(answers, failure)
    for kind in ("eventbridge", "lambda_", "s3", "sns", "sqs"):
        monkeypatch.setattr(f"esm.destinations.{kind}.open_service", partial(shared.open_service, take=stub))
    return stub


async def deliver(kind: str, *notices: Notice, aws: Mapping[str, Any] | None = None, **options: Any) -> None:
    plugin = PLUGINS[kind]
    context = DestinationContext(aws or {})
    async with plugin.open(plugin.options.model_validate(options), context) as destination:
        for one in notices:
            await destination.deliver(one)


def refused(operation: str, code: str, message: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation
    )


async def test_a_queue_is_looked_up_once(lease: StubLease) -> None:
    await deliver("sqs", notice("1"), notice("2"), arn=QUEUE)
    assert lease.client.calls == [
        ("get_queue_url", {"QueueName": "failed", "QueueOwnerAWSAccountId": "123456789012"}),
        ("send_message", {"QueueUrl": URL, "MessageBody": text_of(notice("1").document)}),
        ("send_message", {"QueueUrl": URL, "MessageBody": text_of(notice("2").document)}),
    ]


async def test_a_topic_gets_the_document_as_its_message(lease: StubLease) -> None:
    await deliver("sns", notice(), arn=TOPIC)
    assert lease.client.calls == [("publish", {"TopicArn": TOPIC, "Message": text_of(notice().document)})]


async def test_a_function_is_not_waited_for(lease: StubLease) -> None:
    await deliver("lambda", notice(), arn=FUNCTION)
    payload = text_of(notice().document).encode()
    assert lease.client.calls == [
        ("invoke", {"FunctionName": FUNCTION, "InvocationType": "Event", "Payload": payload})
    ]


async def test_a_bus_gets_an_event_that_rules_can_match(lease: StubLease) -> None:
    await deliver("eventbridge", notice(), arn=BUS, source="shop", detail_type="Lost")
    ((operation, parameters),) = lease.client.calls
    assert operation == "put_events"
    detail = text_of(notice().document)
    assert parameters == {
        "Entries": [{"EventBusName": BUS, "Source": "shop", "DetailType": "Lost", "Detail": detail}]
    }


async def test_a_bucket_gets_awss_key_and_the_event_as_text(lease: StubLease) -> None:
    await deliver("s3", notice(), notice(), bucket="failed", expected_bucket_owner="123456789012")
    (first, put), (_, again) = lease.client.calls
    assert first == "put_object"
    assert (put["Bucket"], put["ExpectedBucketOwner"]) == ("failed", "123456789012")
    body = json.loads(put["Body"])
    assert list(body) == [*notice().document, "payload"]
    assert body["payload"] == notice().event.decode()
    prefix = "aws/lambda/4f6c9f1e-2f3d-5a0b-9d0e-9a0c6f7d2b11/shardId-000000000001/2019/11/14/2019-11-14T00.38.06-"
    assert put["Key"].startswith(prefix)
    assert len(put["Key"].removeprefix(prefix)) == 36
    assert put["Key"] != again["Key"]


async def test_without_an_owner_none_is_expected(lease: StubLease) -> None:
    await deliver("s3", notice(), bucket="failed")
    assert "ExpectedBucketOwner" not in lease.client.calls[0][1]


async def test_an_address_says_where_and_the_options_how(lease: StubLease) -> None:
    defaults = {"region": "us-east-1", "profile": "shop", "endpoint_url": "http://127.0.0.1:4566"}
    await deliver("sns", notice(), arn=TOPIC, aws=defaults)
    await deliver("s3", notice(), bucket="failed", aws=defaults)
    assert [options.region for _, options in lease.asked] == ["eu-west-1", "us-east-1"]
    assert {options.profile for _, options in lease.asked} == {"shop"}


@pytest.mark.parametrize(
    ("url", "region", "endpoint"),
    [
        (URL, "eu-west-1", "https://sqs.eu-west-1.amazonaws.com"),
        ("http://127.0.0.1:9324/000000000000/failed", "us-east-1", "http://127.0.0.1:9324"),
    ],
)
async def test_a_queues_url_is_an_endpoint(lease: StubLease, url: str, region: str, endpoint: str) -> None:
    await deliver("sqs", notice(), queue_url=url, aws={"region": "us-east-1"})
    assert lease.asked == [("sqs", AwsOptions(region=region, endpoint_url=endpoint))]
    assert [operation for operation, _ in lease.client.calls] == ["send_message"]


async def test_a_client_is_leased_with_the_first_notice_and_given_back(lease: StubLease) -> None:
    await deliver("sns", arn=TOPIC)
    assert lease.asked == []
    plugin = PLUGINS["sns"]
    async with plugin.open(plugin.options.model_validate({"arn": TOPIC}), DestinationContext({})) as destination:
        await asyncio.gather(*(destination.deliver(notice()) for _ in range(5)))
        assert (len(lease.asked), lease.given_back) == (1, 0)
    assert lease.given_back == 1


@pytest.mark.parametrize(
    ("kind", "options", "operation"),
    [
        ("sqs", {"queue_url": URL}, "send_message"),
        ("sqs", {"arn": QUEUE}, "get_queue_url"),
        ("sns", {"arn": TOPIC}, "publish"),
        ("s3", {"bucket": "failed"}, "put_object"),
        ("lambda", {"arn": FUNCTION}, "invoke"),
        ("eventbridge", {"arn": BUS}, "put_events"),
    ],
)
async def test_a_refusal_is_told_in_awss_words(
    monkeypatch: pytest.MonkeyPatch, kind: str, options: dict[str, Any], operation: str
) -> None:
    leased(monkeypatch, {operation: refused("Doing", "AccessDenied", "Not you.")})
    with pytest.raises(
        Undeliverable, match=r"^Error occurred while Doing\. \w+ Error Code: AccessDenied\..*Not you\.$"
    ):
        await deliver(kind, notice(), **options)


async def test_a_missing_queue_is_told_as_one_that_is_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    leased(monkeypatch, {"send_message": refused("SendMessage", "QueueDoesNotExist", "…")})
    with pytest.raises(Undeliverable, match=r"^Error occurred while SendMessage\. .*queue does not exist"):
        await deliver("sqs", notice(), queue_url=URL)


async def test_a_missing_profile_is_undeliverable_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = leased(monkeypatch, failure=ProfileNotFound(profile="shop"))
    plugin = PLUGINS["sns"]
    async with plugin.open(plugin.options.model_validate({"arn": TOPIC}), DestinationContext({})) as destination:
        for _ in range(2):
            with pytest.raises(Undeliverable, match="no profile 'shop'"):
                await destination.deliver(notice())
    assert len(stub.asked) == 2


async def test_an_entry_that_failed_is_undeliverable(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "Later."}]}
    leased(monkeypatch, {"put_events": failed})
    with pytest.raises(Undeliverable, match=r"EventBridge Error Code: InternalFailure\..*Later"):
        await deliver("eventbridge", notice(), arn=BUS)


LARGE = notice(texts=["x" * 300_000])


async def test_a_large_notice_goes_without_its_records(lease: StubLease) -> None:
    await deliver("sns", LARGE, arn=TOPIC)
    message = lease.client.calls[0][1]["Message"]
    assert json.loads(message)["esm"]["recordsLeftOut"] == 1
    assert len(message) < 262_144


async def test_what_a_destination_may_take_can_be_raised(lease: StubLease) -> None:
    await deliver("sns", LARGE, arn=TOPIC, max_bytes=2**20)
    assert lease.client.calls[0][1]["Message"] == text_of(LARGE.document)


async def test_a_bus_counts_its_envelope_too(lease: StubLease) -> None:
    whole = notice(texts=["x" * 2_000])
    exact = len(text_of(whole.document)) + len("esm" + "t") + 14
    for limit, complete in ((exact, True), (exact - 1, False)):
        await deliver("eventbridge", whole, arn=BUS, detail_type="t", max_bytes=limit)
        detail = json.loads(lease.client.calls[-1][1]["Entries"][0]["Detail"])
        assert ("records" in detail["esm"]) == complete


async def test_what_is_still_too_large_is_undeliverable_with_a_cure(lease: StubLease) -> None:
    document = {**notice().document, "KinesisBatchInfo": {"shardId": "s" * 2_000}}
    large = Notice(document, b"{}", 0.0, "scope", "lane")
    with pytest.raises(Undeliverable, match=r"has \d+ bytes and max_bytes is 1024: raise it"):
        await deliver("sns", large, arn=TOPIC, max_bytes=1024)
    assert lease.client.calls == []


# Before the start


async def checked(kind: str, **options: Any) -> Sequence[Finding]:
    plugin = PLUGINS[kind]
    async with plugin.open(plugin.options.model_validate(options), DestinationContext({})) as destination:
        assert isinstance(destination, Checkable)
        return await destination.check()


BUCKET = {"bucket": "failed", "expected_bucket_owner": "123456789012"}
ASKED: dict[str, tuple[dict[str, Any], str, dict[str, Any], str]] = {
    "sns": ({"arn": TOPIC}, "get_topic_attributes", {"TopicArn": TOPIC}, "sns:GetTopicAttributes"),
    "s3": (BUCKET, "head_bucket", {"Bucket": "failed", "ExpectedBucketOwner": "123456789012"}, "s3:ListBucket"),
    "lambda": ({"arn": FUNCTION}, "invoke", {"FunctionName": FUNCTION, "InvocationType": "DryRun"}, ""),
    "eventbridge": ({"arn": BUS}, "describe_event_bus", {"Name": BUS}, "events:DescribeEventBus"),
    "sqs": (
        {"queue_url": URL},
        "get_queue_attributes",
        {"QueueUrl": URL, "AttributeNames": ["MaximumMessageSize"]},
        "sqs:GetQueueAttributes",
    ),
}


@pytest.mark.parametrize("kind", ASKED)
async def test_a_check_asks_and_gives_nothing(lease: StubLease, kind: str) -> None:
    options, operation, parameters, _ = ASKED[kind]
    assert list(await checked(kind, **options)) == []
    assert lease.client.calls == [(operation, parameters)]


@pytest.mark.parametrize("kind", ASKED)
async def test_who_may_only_deliver_need_not_be_allowed_to_look(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    options, operation, _, needs = ASKED[kind]
    leased(monkeypatch, {operation: refused("Ask", "AccessDeniedException", "not authorized")})
    (finding,) = await checked(kind, **options)
    assert finding.broken == (kind == "lambda")
    assert needs in finding.text


@pytest.mark.parametrize(
    ("kind", "options", "operation", "code"),
    [
        ("sns", {"arn": TOPIC}, "get_topic_attributes", "NotFound"),
        ("s3", {"bucket": "failed"}, "head_bucket", "404"),
        ("lambda", {"arn": FUNCTION}, "invoke", "ResourceNotFoundException"),
        ("eventbridge", {"arn": BUS}, "describe_event_bus", "ResourceNotFoundException"),
        ("sqs", {"queue_url": URL}, "get_queue_attributes", "AWS.SimpleQueueService.NonExistentQueue"),
        ("sqs", {"arn": QUEUE}, "get_queue_url", "AWS.SimpleQueueService.NonExistentQueue"),
    ],
)
async def test_what_is_missing_is_said_with_a_cure(
    monkeypatch: pytest.MonkeyPatch, kind: str, options: dict[str, Any], operation: str, code: str
) -> None:
    leased(monkeypatch, {operation: refused("Ask", code, "not there")})
    (finding,) = await checked(kind, **options)
    assert finding.broken
    assert code in finding.text
    assert "make " in finding.text
    assert finding.text.endswith("correct the destination")


async def test_credentials_that_are_missing_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    leased(monkeypatch, failure=ProfileNotFound(profile="shop"))
    for kind, options in (("s3", {"bucket": "failed"}), ("sqs", {"arn": QUEUE})):
        (finding,) = await checked(kind, **options)
        assert (finding.broken, "there is no profile 'shop'" in finding.text) == (True, True)
