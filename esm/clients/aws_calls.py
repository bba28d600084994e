"""The calls that are made for every page of records, to services that speak AWS JSON.

A general client builds, validates and walks every request and answer along the service's model, which costs
more than everything else that is done for a message (docs/decisions/0020). Here an operation is a name, its
arguments are sent as they are, and an answer is the JSON that came: timestamps stay numbers and binary values
stay base64, which is how they are passed on. Errors are botocore's, as of all other calls.
"""

import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from http.client import responses
from typing import Any

import orjson
from botocore.exceptions import (  # type: ignore[import-untyped]
    ClientError,
    ConnectionClosedError,
    ConnectionError,  # noqa: A004 -- botocore's name
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from msgspec import Struct

from esm.clients.aws_signed import Signed
from esm.clients.http import Answered, Broken, Exchange, Lapsed, ProxyRefused, Unreached

Call = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""Makes a call: the operation's name, such as `ReceiveMessage`, and its arguments as the API names them."""

# As botocore's retry mode "standard" has them.
_PASSING_STATUSES = {500, 502, 503, 504}
_PASSING_CODES = {
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


class Dialect(Struct, frozen=True):
    """How a service wants AWS JSON. `constant` headers go with each call."""

    prefix: str
    constant: Mapping[str, str]


class JsonCalls:
    """Calls of one service. `sleep` takes seconds, `chance` is uniform in [0, 1)."""

    def __init__(
        self,
        signed: Signed,
        dialect: Dialect,
        sleep: Callable[[float], Awaitable[None]],
        chance: Callable[[], float],
    ) -> None:
        self._signed = signed
        self._dialect = dialect
        self._sleep = sleep
        self._chance = chance

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One call; once more, up to a second later, after what may have passed by then.

        Raises what botocore raises.
        """
        body = orjson.dumps(arguments)
        try:
            return _object(await self._once(operation, body))
        except (ClientError, ConnectionError, HTTPClientError) as error:
            if not passing(error):
                raise
        await self._sleep(self._chance())
        return _object(await self._once(operation, body))

    async def fetch(self, operation: str, arguments: Mapping[str, Any]) -> bytes:
        """One call, not tried again, for callers that keep to a pace: the JSON as it came.

        Raises what botocore raises.
        """
        return await self._once(operation, orjson.dumps(arguments))

    async def _once(self, operation: str, body: bytes) -> bytes:
        headers = {**self._dialect.constant, "X-Amz-Target": f"{self._dialect.prefix}.{operation}"}
        answer = answered(await self._signed.post("/", headers, body), self._signed.service.endpoint)
        if answer.status >= 300:
            raise refusal(answer, operation)
        return answer.body


def dialect_of(metadata: Mapping[str, Any]) -> Dialect:
    """From the metadata of a service's model."""
    constant = {"Content-Type": f"application/x-amz-json-{metadata['jsonVersion']}"}
    if "awsQueryCompatible" in metadata:
        constant["X-Amzn-Query-Mode"] = "true"  # errors come with the codes they have always had
    return Dialect(metadata["targetPrefix"], constant)


def passing(error: Exception) -> bool:
    """Whether another try may succeed: nothing was answered, the service's own fault, or too much at once."""
    if not isinstance(error, ClientError):
        return True
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status in _PASSING_STATUSES or error.response["Error"]["Code"] in _PASSING_CODES


def answered(exchange: Exchange, endpoint: str) -> Answered:
    """The answer. Raises botocore's errors for calls that have none."""
    match exchange:
        case Answered():
            return exchange
        case Lapsed():
            raise ReadTimeoutError(endpoint_url=endpoint)
        case Broken():
            raise ConnectionClosedError(endpoint_url=endpoint)
        case Unreached(cause=None):
            raise ConnectTimeoutError(endpoint_url=endpoint)
        case Unreached(cause=ProxyRefused() as cause):
            raise ProxyConnectionError(proxy_url="", error=cause)
        case Unreached(cause=ssl.SSLError() as cause):
            raise SSLError(endpoint_url=endpoint, error=cause)
        case Unreached(cause=cause):
            raise EndpointConnectionError(endpoint_url=endpoint, error=cause)


def refusal(answer: Answered, operation: str) -> ClientError:
    """The error that an answer tells, with the code that botocore would find in it."""
    try:
        told = _parsed(answer.body)
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {}
    code = str(told.get("__type") or answer.status).partition(":")[0].rpartition("#")[2]
    if compatible := answer.headers.get("x-amzn-query-error"):
        code = compatible.partition(";")[0]
    message = told.get("message") or told.get("Message") or responses.get(answer.status, "")
    return ClientError(
        {
            "Error": {"Code": code, "Message": str(message)},
            "ResponseMetadata": {
                "HTTPStatusCode": answer.status,
                "RequestId": answer.headers.get("x-amzn-requestid", ""),
            },
        },
        operation,
    )


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; without one (a proxy's HTML page) a receive would look empty."""
    try:
        answer = _parsed(body) if body else {}
    except ValueError:
        raise ResponseParserError("the answer is no JSON") from None
    if not isinstance(answer, dict):
        raise ResponseParserError("the answer is no JSON object")
    return answer


def _parsed(body: bytes) -> Any:
    """Half a surrogate pair, which orjson refuses and a lax server lets through, must not wedge a queue."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)
