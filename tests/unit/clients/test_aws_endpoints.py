"""The lean client calls where botocore would call, signs for what botocore would sign for, and asks nobody."""

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import pytest

from esm.clients.aws import AwsOptions, Clients

REGIONS = ["us-east-1", "us-gov-west-1", "cn-north-1", "eu-isoe-west-1", "fips-us-west-2", "xx-nowhere-1"]
DUAL, FIPS = {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, {"AWS_USE_FIPS_ENDPOINT": "true"}
SETTINGS: list[Mapping[str, str]] = [
    {},
    DUAL,
    FIPS,
    {**DUAL, **FIPS},
    {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/all"},
    {"AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:4566"},
]


# Partitions without dual stack are left out: botocore refuses to make a client there.
CASES = [
    (region, each)
    for region in REGIONS
    for each in SETTINGS
    if "isoe" not in region or DUAL.keys().isdisjoint(each)
]


@pytest.mark.parametrize(("region", "settings"), CASES, ids=lambda value: str(value) if value else "none")
async def test_endpoint_and_region_are_botocores(
    region: str, settings: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    async with Clients().lease("sqs", AwsOptions(region=region)) as sqs:
        queue = {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/orders"}
        presigned = urlsplit(await sqs.cold.generate_presigned_url("receive_message", Params=queue))
    ours = sqs.signed.service
    _, _, signed_region, signed_name, _ = parse_qs(presigned.query)["X-Amz-Credential"][0].split("/")
    assert urlsplit(ours.endpoint).netloc == presigned.netloc
    assert urlsplit(ours.endpoint).scheme == presigned.scheme
    assert (urlsplit(ours.endpoint).path or "/") == presigned.path
    assert (ours.region, ours.name) == (signed_region, signed_name)


async def test_a_given_endpoint_comes_before_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    options = AwsOptions(region="us-east-1", endpoint_url="http://127.0.0.1:2")
    async with Clients().lease("sqs", options) as sqs:
        assert sqs.signed.service.endpoint == "http://127.0.0.1:2"


async def test_other_services_are_signed_for_by_their_own_name() -> None:
    async with Clients().lease("lambda", AwsOptions(region="us-east-1")) as client:
        assert client.signed.service.name == "lambda"
        assert client.signed.service.endpoint == "https://lambda.us-east-1.amazonaws.com"
