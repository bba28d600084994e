"""A cheap parser for the answers of AWS's JSON services.

botocore walks every answer along the service's model; for a page of messages that costs more than reading the
JSON itself. A good answer of a JSON service is taken as it is instead: timestamps stay numbers and binary
values stay base64, which is how they are passed on. Errors, and services with other protocols, are left to
botocore's own parsers.
"""

import json
from typing import Any

import orjson
from aiobotocore.parsers import AioJSONParser, AioResponseParserFactory  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]


class _JsonParser(AioJSONParser):  # type: ignore[misc]
    async def parse(self, response: dict[str, Any], shape: Any) -> Any:
        if response["status_code"] != 200:
            return await super().parse(response, shape)
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": response["headers"]}
        return {**_object(response["body"]), "ResponseMetadata": metadata}


class JsonParserFactory(AioResponseParserFactory):  # type: ignore[misc]
    """Replaces botocore's factory (session component `response_parser_factory`)."""

    def __init__(self) -> None:
        super().__init__()
        self._json = _JsonParser()

    def create_parser(self, protocol_name: str) -> Any:
        """The parser for a protocol such as `json` or `query`; called for every answer."""
        return self._json if protocol_name == "json" else super().create_parser(protocol_name)


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; without one (a proxy's HTML page) botocore would see an empty answer."""
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
