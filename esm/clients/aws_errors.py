"""What goes wrong with a call to AWS, as the one error the engine acts on: `Disconnected`.

Codes are short and few, because they label a metric; reasons are AWS's own words, in the form in which AWS
shows them as the last result of a mapping. Texts of the transport are not taken over: they may hold an
address with a password in it. So is everything after the first line of a message: a failed signature is
explained there with the headers that were signed, the session token among them.
"""

import errno
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 -- botocore's name
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from esm.errors import Disconnected, OverLimit

UNREACHABLE = "unreachable"
MISSING_QUEUE = (
    "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue."
    " SQS Error Message: The specified queue does not exist."
)
"""AWS's text for a mapping whose queue is missing, whatever the server calls it."""

_LONGEST_TEXT = 400
_LASTING = {
    "NonExistentQueue": ("NonExistentQueue", "QueueDoesNotExist", "QueueDeletedRecently"),
    "NonExistentStream": ("ResourceNotFoundException",),
    "NonExistentCluster": ("NotFoundException",),
    "AccessDenied": (
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "ForbiddenException",
        "NotAuthorized",
        "OptInRequired",
        "UnauthorizedException",
    ),
    "ExpiredToken": ("ExpiredToken", "ExpiredTokenException", "RequestExpired"),
    "InvalidClientTokenId": (
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "InvalidSecurity",
    ),
    "SignatureDoesNotMatch": (
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "IncompleteSignatureException",
    ),
    "InvalidAddress": ("InvalidAddress",),
    "KmsAccessDenied": ("KmsAccessDenied", "KMS.AccessDeniedException", "KMSAccessDeniedException"),
    "KmsDisabled": ("KmsDisabled", "KMS.DisabledException", "KMSDisabledException"),
    "KmsInvalidKeyUsage": ("KmsInvalidKeyUsage", "KMS.InvalidKeyUsageException"),
    "KmsInvalidState": (
        "KmsInvalidState",
        "KMS.InvalidStateException",
        "KMS.KMSInvalidStateException",
        "KMSInvalidStateException",
    ),
    "KmsNotFound": ("KmsNotFound", "KMS.NotFoundException", "KMSNotFoundException"),
    "KmsOptInRequired": ("KmsOptInRequired", "KMS.OptInRequired", "KMSOptInRequired"),
}
_PASSING = {
    "Throttling": (
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "LimitExceededException",
        "SlowDown",
        "KmsThrottled",
        "KMS.ThrottlingException",
        "KMSThrottlingException",
        "ProvisionedThroughputExceededException",
    ),
    "ExpiredIterator": ("ExpiredIteratorException",),
    "TrimmedData": ("TrimmedDataAccessException",),
    "InvalidArgument": ("InvalidArgumentException", "ValidationException"),
    "ServiceError": ("InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable"),
}
_SHORT = {
    spelling: (code, lasting)
    for table, lasting in ((_LASTING, True), (_PASSING, False))
    for code, spellings in table.items()
    for spelling in spellings
}
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    ProfileNotFound,
    NoAuthTokenError,
    TokenRetrievalError,
)


@contextmanager
def translated(service: str, queue: str = "") -> Iterator[None]:
    """Around calls of one service: whatever they raise leaves as `Disconnected` (or its kind `OverLimit`).

    `queue`: the ARN or URL to name if it is missing, since AWS's text does not.
    """
    try:
        yield
    except Disconnected:
        raise
    except Exception as error:  # noqa: BLE001 -- a vendor's client has no closed list of errors
        # Without its cause, which may hold what must not be shown.
        raise disconnected(error, service, queue) from None


def short_code(code: str) -> tuple[str, bool]:
    """The code of an error or of a failed batch entry in its bounded form, and whether it lasts."""
    plain = code.removeprefix("AWS.SimpleQueueService.").rpartition("#")[2]
    return _SHORT.get(plain, ("Unknown", False))


def disconnected(error: Exception, service: str, queue: str = "") -> Disconnected:
    """`error`, raised by a call of `service` (`SQS`) about `queue`, in the engine's words."""
    if isinstance(error, ClientError):
        return _refused(error, service, queue)
    if isinstance(error, _NO_CREDENTIALS):
        return Disconnected("NoCredentials", _no_credentials(error), lasting=True)
    if isinstance(error, NoRegionError):
        return Disconnected("NoRegion", "no region is configured: set aws.region", lasting=True)
    if isinstance(error, HTTPClientError | ConnectionError | aiohttp.ClientError | OSError):
        return Disconnected(UNREACHABLE, _unreachable(error, service))
    if isinstance(error, ResponseParserError):
        return Disconnected("BadAnswer", f"{service} answered with something that is not its protocol")
    what = "client" if isinstance(error, BotoCoreError) else "answer"
    return Disconnected("Unknown", f"the {what} of {service} failed with {type(error).__name__}")


def _refused(error: Any, service: str, queue: str) -> Disconnected:
    details = error.response.get("Error", {})
    code = str(details.get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    label = "STS" if error.operation_name.startswith("AssumeRole") else service
    reason = _words(error.operation_name, label, code, str(details.get("Message", "")))
    if code.endswith("OverLimit"):
        return OverLimit(reason)
    short, lasting = short_code(code)
    if short == "Unknown":
        short, lasting = _by_status(status)
    if short == "NonExistentStream" and service == "Secrets Manager":
        short = "NonExistentSecret"
    if short == "NonExistentQueue":
        reason = f"{MISSING_QUEUE} ({queue})" if queue else MISSING_QUEUE
    return Disconnected(short, reason, lasting=lasting)


def _by_status(status: int) -> tuple[str, bool]:
    """What an answer with an unknown code means; a proxy or an emulator may have its own codes."""
    if status in {401, 403}:
        return "AccessDenied", True
    if status == 429:
        return "Throttling", False
    return ("ServiceError", False) if status >= 500 else ("Unknown", False)


def _words(operation: str, service: str, code: str, message: str) -> str:
    first_line = message.strip().partition("\n")[0][:_LONGEST_TEXT]
    return f"Error occurred while {operation}. {service} Error Code: {code}. {service} Error Message: {first_line}"


def _unreachable(error: Any, service: str) -> str:
    """Where and how, without the user information that a URL may carry."""
    url = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    where = f" at {url.hostname}:{url.port or {'http': 80}.get(url.scheme, 443)}" if url.hostname else ""
    if isinstance(error, EndpointConnectionError):
        return f"cannot connect to {service}{where}: {_not_connected(error.kwargs.get('error'))}"
    how = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower() or "error"
    return f"cannot reach {service}{where}: {how}"


def _not_connected(error: Any) -> str:
    """In words of our own: those of the system differ, and may hold an address with a password."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, socket.gaierror) or isinstance(error, aiohttp.ClientConnectorDNSError):
        return "name not found"
    return "connection refused" if getattr(cause, "errno", None) == errno.ECONNREFUSED else "no connection"


def _no_credentials(error: Any) -> str:
    if isinstance(error, ProfileNotFound):
        return f"there is no profile {error.kwargs.get('profile')!r} in the AWS configuration"
    provider = error.kwargs.get("provider")
    found = "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or aws.profile"
    return f"no AWS credentials from {provider}" if provider else found
