"""What a worker says and hears, as values: errors to replies, and the bodies and headers of the Runtime API.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html; a body above its limit is the function's error.
"""

from collections.abc import Mapping

from esm.model import Errored, Outcome
from esm.targets.local_function import overdue
from esm.targets.thrown import short, thrown

LARGEST_ANSWER = 6_291_556
"""Bytes: 6 MiB and 100, as Lambda's own message says."""

TOO_LARGE = f"the answer exceeds the maximum allowed payload size ({LARGEST_ANSWER} bytes)"

_VERSION = "$LATEST"


def reported(body: bytes, header: str | None) -> tuple[str, str]:
    """Type and text of the error that a worker posts; `header` is `Lambda-Runtime-Function-Error-Type`."""
    error = thrown(body)
    kind = (error and error.kind) or header or "Unhandled"
    return short(kind), short(error.message) if error else ""


def failed(kind: str, text: str, meta: Mapping[str, str]) -> Errored:
    """The function was reached and failed, with an error of this type."""
    message = short(f"{kind}: {text}" if text else kind)
    return Errored(Outcome.FUNCTION_ERROR, message, {**meta, "error_type": kind})


def timed_out(seconds: float, meta: Mapping[str, str]) -> Errored:
    """In Lambda's words."""
    return Errored(Outcome.TIMEOUT, overdue(seconds), {**meta, "error_type": "Sandbox.Timedout"})


def meta(request_id: str, log_tail: str = "") -> dict[str, str]:
    """What a reply tells of its invocation."""
    told = {"request_id": request_id, "executed_version": _VERSION}
    return {**told, "log_tail": log_tail} if log_tail else told


def trace(request_id: str, now: float) -> str:
    """A trace of its own per invocation, not sampled; `now` in epoch seconds.

    https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    digits = request_id.replace("-", "").ljust(32, "0")
    return f"Root=1-{int(now):08x}-{digits[:24]};Parent={digits[16:32]};Sampled=0"
