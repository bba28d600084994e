"""What the ending of an Invoke means: pure, from an exchange to a reply.

Status 200 says that the function was called, with `X-Amz-Function-Error` if it failed; any other status is
Lambda's own word (see `errors`). What broke off after it was sent may have reached the function and counts, as
with every target.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from esm.clients.http import Answered, Exchange
from esm.model import Errored, Outcome, Refused, Reply, Returned
from esm.targets.lambda_.errors import meaning
from esm.targets.retry_after import retry_after
from esm.targets.thrown import Thrown, short, thrown
from esm.targets.unanswered import unanswered

LONGEST_LOG_TAIL = 4096
"""Bytes of the end of the function's log that Lambda sends along (`X-Amz-Log-Type: Tail`)."""

_META = {"x-amzn-RequestId": "request_id", "X-Amz-Executed-Version": "executed_version"}
_TIMED_OUT = re.compile(r"Task timed out after \d+(\.\d+)? seconds\s*")


def reply_to(exchange: Exchange, *, timeout: float, now: float) -> Reply:
    """`timeout` in seconds, for the message; `now` in epoch seconds, for a Retry-After that is a date.

    `meta`: `request_id`, `executed_version`, `function_error`, `status_code`, and `log_tail` where the function
    failed and Lambda sent it.
    """
    if isinstance(exchange, Answered):
        return _answered(exchange, now)
    return unanswered(exchange, timeout)


def _answered(answer: Answered, now: float) -> Reply:
    if answer.status != 200:
        return _refused(answer, now)
    kind = answer.headers.get("X-Amz-Function-Error")
    if kind is not None:
        return _failed(answer, kind)
    if _is_page(answer):
        return Refused(
            Outcome.MISCONFIGURED, "a web page answers, not Lambda: correct `endpoint_url`", None, _meta(answer)
        )
    return Returned(answer.body, _meta(answer))


def _failed(answer: Answered, kind: str) -> Reply:
    error = thrown(answer.body)
    outcome = Outcome.TIMEOUT if error is not None and _timed_out(error) else Outcome.FUNCTION_ERROR
    meta = {**_meta(answer), "function_error": kind}
    if tail := _log_tail(answer.headers):
        meta["log_tail"] = tail
    return Errored(outcome, short(error.text if error is not None else kind), meta)


def _timed_out(error: Thrown) -> bool:
    """Lambda ended the function; an exception of the function's own with the same words has a type of its own.

    https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
    """
    if error.kind is None:
        return _TIMED_OUT.search(error.message) is not None
    return error.kind == "Sandbox.Timedout"


def _refused(answer: Answered, now: float) -> Reply:
    body = _object(answer.body)
    code = _code(answer.headers, body)
    outcome, said = meaning(code, answer.status), short(_said(answer.status, code, body))
    if outcome is Outcome.FUNCTION_ERROR:
        return Errored(outcome, said, _meta(answer))
    return Refused(outcome, said, retry_after(answer.headers.get("Retry-After"), now), _meta(answer))


def _code(headers: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """As AWS's REST-JSON protocol names an error: without what may stand before `#` and behind `:`.

    https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
    """
    named = headers.get("x-amzn-ErrorType") or body.get("code") or body.get("__type") or ""
    return str(named).partition(":")[0].rpartition("#")[2].strip()


def _said(status: int, code: str, body: Mapping[str, Any]) -> str:
    """Error, reason and the first line of Lambda's message.

    The lines behind it explain a failed signature with what was signed, the session token among it.
    """
    message = str(body.get("message") or body.get("Message") or "").strip().partition("\n")[0]
    words = [code or _status(status), str(body.get("Reason") or ""), message]
    return ": ".join(word for word in words if word)


def _status(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}, which is no answer of Lambda"
    except ValueError:
        return f"HTTP {status}, which is no answer of Lambda"


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        error: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return error if isinstance(error, Mapping) else {}


def _is_page(answer: Answered) -> bool:
    """Lambda answers JSON. Whatever serves pages at a wrong address must not have a batch deleted."""
    return answer.headers.get("Content-Type", "").strip().lower().startswith("text/html")


def _meta(answer: Answered) -> dict[str, str]:
    found = {name: answer.headers[header] for header, name in _META.items() if header in answer.headers}
    return {**found, "status_code": str(answer.status)}


def _log_tail(headers: Mapping[str, str]) -> str:
    """The end of the log, at most 4 KiB; empty where none came, or nothing that is one."""
    try:
        tail = base64.b64decode(headers.get("X-Amz-Log-Result", ""), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return tail[-LONGEST_LOG_TAIL:].decode(errors="replace")
