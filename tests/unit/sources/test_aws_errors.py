"""Every error of a vendor's client has a short code, a reason for people, and no secret in it."""

import errno
import socket
import traceback
from collections.abc import Callable

import aiohttp
import botocore.exceptions as boto  # type: ignore[import-untyped]
import pytest
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from sqs_stub import client_error

from esm.clients.aws_errors import disconnected, translated
from esm.errors import Disconnected, OverLimit

LASTING = {
    "AWS.SimpleQueueService.NonExistentQueue": "NonExistentQueue",
    "QueueDoesNotExist": "NonExistentQueue",
    "com.amazonaws.sqs#QueueDoesNotExist": "NonExistentQueue",
    "NonExistentQueue": "NonExistentQueue",
    "AccessDenied": "AccessDenied",
    "AccessDeniedException": "AccessDenied",
    "ExpiredToken": "ExpiredToken",
    "ExpiredTokenException": "ExpiredToken",
    "InvalidClientTokenId": "InvalidClientTokenId",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "SignatureDoesNotMatch": "SignatureDoesNotMatch",
    "KMS.AccessDeniedException": "KmsAccessDenied",
    "KmsDisabled": "KmsDisabled",
    "KmsInvalidState": "KmsInvalidState",
}
PASSING = {
    "RequestThrottled": "Throttling",
    "ThrottlingException": "Throttling",
    "TooManyRequestsException": "Throttling",
    "KmsThrottled": "Throttling",
    "KMS.ThrottlingException": "Throttling",
    "InternalError": "ServiceError",
    "ServiceUnavailable": "ServiceError",
    "SomethingNew": "Unknown",
    "": "Unknown",
}


@pytest.mark.parametrize(
    ("spelling", "code", "lasting"),
    [(spelling, code, True) for spelling, code in LASTING.items()]
    + [(spelling, code, False) for spelling, code in PASSING.items()],
)
def test_codes_of_aws(spelling: str, code: str, *, lasting: bool) -> None:
    problem = disconnected(client_error(spelling), "SQS")
    assert (problem.code, problem.lasting) == (code, lasting)


@pytest.mark.parametrize(
    ("status", "code", "lasting"),
    [
        (403, "AccessDenied", True),
        (429, "Throttling", False),
        (502, "ServiceError", False),
        (400, "Unknown", False),
    ],
)
def test_an_unknown_code_is_judged_by_its_status(status: int, code: str, *, lasting: bool) -> None:
    problem = disconnected(client_error("Odd", status=status), "SQS")
    assert (problem.code, problem.lasting) == (code, lasting)


@pytest.mark.parametrize(
    ("error", "code", "lasting"),
    [
        (boto.NoCredentialsError(), "NoCredentials", True),
        (boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "NoCredentials", True),
        (boto.CredentialRetrievalError(provider="custom-process", error_msg="hunter2"), "NoCredentials", True),
        (boto.ProfileNotFound(profile="blue"), "NoCredentials", True),
        (boto.NoRegionError(), "NoRegion", True),
        (
            boto.EndpointConnectionError(endpoint_url="http://u:hunter2@h:1/", error=OSError()),
            "unreachable",
            False,
        ),
        (boto.ConnectTimeoutError(endpoint_url="http://h/", error=OSError()), "unreachable", False),
        (boto.ReadTimeoutError(endpoint_url="http://h/", error=OSError()), "unreachable", False),
        (boto.ConnectionClosedError(endpoint_url="http://h/"), "unreachable", False),
        (boto.SSLError(endpoint_url="https://h/", error=OSError("hunter2")), "unreachable", False),
        (boto.ProxyConnectionError(proxy_url="http://u:hunter2@p/", error=OSError()), "unreachable", False),
        (boto.HTTPClientError(error=OSError("hunter2")), "unreachable", False),
        (aiohttp.ClientPayloadError("hunter2"), "unreachable", False),
        (TimeoutError(), "unreachable", False),
        (ConnectionResetError(), "unreachable", False),
        (ResponseParserError("hunter2"), "BadAnswer", False),
        (KeyError("MessageId"), "Unknown", False),
        (boto.UnknownEndpointError(service_name="sqs", region_name="x"), "Unknown", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_errors_of_the_client(error: Exception, code: str, *, lasting: bool) -> None:
    with pytest.raises(Disconnected) as caught, translated("SQS"):
        raise error
    assert (caught.value.code, caught.value.lasting) == (code, lasting)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_too_much_in_flight_has_an_error_of_its_own() -> None:
    assert isinstance(disconnected(client_error("OverLimit"), "SQS"), OverLimit)
    assert isinstance(disconnected(client_error("AWS.SimpleQueueService.OverLimit"), "SQS"), OverLimit)


def test_reasons_are_in_awss_words() -> None:
    problem = disconnected(client_error("AccessDenied", "User: x is not authorized"), "SQS")
    assert problem.reason == (
        "Error occurred while ReceiveMessage. SQS Error Code: AccessDenied. "
        "SQS Error Message: User: x is not authorized"
    )


def test_a_missing_queue_has_awss_text_whatever_the_server_says() -> None:
    problem = disconnected(client_error("QueueDoesNotExist", "nope", operation="GetQueueUrl"), "SQS")
    assert problem.reason == (
        "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
        "SQS Error Message: The specified queue does not exist."
    )


def test_a_missing_queue_is_named_where_it_is_known() -> None:
    problem = disconnected(client_error("QueueDoesNotExist"), "SQS", "arn:q")
    assert problem.reason.endswith("The specified queue does not exist. (arn:q)")


def test_a_role_that_cannot_be_assumed_is_not_blamed_on_the_queue() -> None:
    problem = disconnected(client_error("AccessDenied", operation="AssumeRole"), "SQS")
    assert problem.reason.startswith("Error occurred while AssumeRole. STS Error Code")


def test_only_the_first_line_of_a_message_is_shown() -> None:
    message = "The request signature does not match.\n\nx-amz-security-token:hunter2"
    problem = disconnected(client_error("SignatureDoesNotMatch", message), "SQS")
    assert problem.reason.endswith("The request signature does not match.")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: boto.EndpointConnectionError(endpoint_url="http://u:p@10.0.0.1:9324/", error=OSError()),
            "cannot connect to SQS at 10.0.0.1:9324: no connection",
        ),
        (
            lambda: boto.EndpointConnectionError(
                endpoint_url="http://u:p@h:1/", error=ConnectionRefusedError(errno.ECONNREFUSED, "p")
            ),
            "cannot connect to SQS at h:1: connection refused",
        ),
        (
            lambda: boto.EndpointConnectionError(endpoint_url="http://h:1/", error=socket.gaierror(-2, "p")),
            "cannot connect to SQS at h:1: name not found",
        ),
        (
            lambda: boto.ReadTimeoutError(endpoint_url="https://sqs.eu-west-1.amazonaws.com/", error=OSError()),
            "cannot reach SQS at sqs.eu-west-1.amazonaws.com:443: read timeout",
        ),
        (TimeoutError, "cannot reach SQS: timeout"),
    ],
)
def test_unreachable_says_where_and_how(make: Callable[[], Exception], text: str) -> None:
    assert disconnected(make(), "SQS").reason == text


def test_our_own_errors_pass() -> None:
    own = OverLimit("x")
    with pytest.raises(OverLimit) as caught, translated("SQS"):
        raise own
    assert caught.value is own
