"""Which errors of Invoke pass, last or are the batch's own, checked against AWS's model of the API."""

import re
from typing import Any

import botocore.session  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esm.model import Outcome
from esm.targets.lambda_.errors import ERRORS, meaning

REFUSALS = {Outcome.THROTTLED, Outcome.MISCONFIGURED, Outcome.UNREACHABLE}


def invoke() -> Any:
    return botocore.session.Session().get_service_model("lambda").operation_model("Invoke")


def test_every_error_of_the_api_has_its_row_and_no_other() -> None:
    assert {shape.name for shape in invoke().error_shapes} == set(ERRORS)


def test_only_the_batchs_own_errors_count() -> None:
    counted = {code for code, outcome in ERRORS.items() if outcome not in REFUSALS}
    assert counted == {
        "InvalidRequestContentException",
        "RequestTooLargeException",
        "SerializedRequestEntityTooLargeException",
    }


FAMILIES = {
    "ENI.*|ResourceNotReady.*|ResourceConflict.*": {Outcome.UNREACHABLE, Outcome.THROTTLED},
    "KMS.*": {Outcome.MISCONFIGURED},
    "SnapStart.*": {Outcome.UNREACHABLE, Outcome.MISCONFIGURED},
    "(EFS|S3Files).*(Connectivity|Timeout|IO)Exception": {Outcome.UNREACHABLE},
    "(EFS|S3Files)MountFailureException": {Outcome.MISCONFIGURED},
    "Invalid(SecurityGroup|Subnet|ZipFile|Runtime).*": {Outcome.MISCONFIGURED},
    "ServiceException": {Outcome.UNREACHABLE},
    "TooManyRequestsException": {Outcome.THROTTLED},
    "ResourceNotFoundException": {Outcome.MISCONFIGURED},
}


@pytest.mark.parametrize(("pattern", "allowed"), FAMILIES.items(), ids=list(FAMILIES))
def test_a_functions_state_is_neutral(pattern: str, allowed: set[Outcome]) -> None:
    found = {outcome for code, outcome in ERRORS.items() if re.fullmatch(pattern, code)}
    assert found
    assert found <= allowed


COMMON = {
    ("AccessDeniedException", 403): Outcome.MISCONFIGURED,
    ("UnrecognizedClientException", 403): Outcome.MISCONFIGURED,
    ("ExpiredTokenException", 403): Outcome.MISCONFIGURED,
    ("InvalidSignatureException", 403): Outcome.MISCONFIGURED,
    ("MissingAuthenticationTokenException", 403): Outcome.MISCONFIGURED,
    ("OptInRequired", 403): Outcome.MISCONFIGURED,
    ("ValidationException", 400): Outcome.MISCONFIGURED,
    ("ThrottlingException", 400): Outcome.THROTTLED,
    ("RequestLimitExceeded", 503): Outcome.THROTTLED,
    ("InternalFailure", 500): Outcome.UNREACHABLE,
    ("ServiceUnavailable", 503): Outcome.UNREACHABLE,
    ("", 200 + 4): Outcome.MISCONFIGURED,
    ("", 301): Outcome.MISCONFIGURED,
    ("", 400): Outcome.MISCONFIGURED,
    ("", 403): Outcome.MISCONFIGURED,
    ("", 404): Outcome.MISCONFIGURED,
    ("", 413): Outcome.FUNCTION_ERROR,
    ("", 429): Outcome.THROTTLED,
    ("", 500): Outcome.UNREACHABLE,
    ("", 502): Outcome.UNREACHABLE,
    ("Brand New Exception", 409): Outcome.MISCONFIGURED,
    ("Brand New Exception", 500): Outcome.UNREACHABLE,
}


@pytest.mark.parametrize(("error", "outcome"), COMMON.items(), ids=str)
def test_errors_that_every_service_has_and_those_nobody_knows(error: tuple[str, int], outcome: Outcome) -> None:
    assert meaning(*error) is outcome


@given(st.text(), st.integers(100, 999).filter(lambda status: status not in {200, 413}))
def test_what_nobody_knows_costs_no_attempt(code: str, status: int) -> None:
    assert meaning(f"?{code}", status) in REFUSALS
