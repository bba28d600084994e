"""The Runtime Interface Emulator's way of answering (`protocol: rie`). Pure.

AWS's emulator is in every base image for Lambda, and runs one function behind HTTP. It speaks neither plain HTTP
nor Lambda's API: what the function threw comes with status 200 and without a header, a timeout is a line of text,
and a second call at a time is answered 400 without a body
(https://github.com/aws/aws-lambda-runtime-interface-emulator, cmd/aws-lambda-rie/handlers.go). Status 200 without
a body says that the runtime ended before it had the call; runtimes answer `null` where a function returns nothing.
"""

import json
import re

from yarl import URL

from esm.clients.http import Answered, Exchange
from esm.model import Errored, Outcome, Refused, Reply
from esm.targets.thrown import short, thrown

INVOCATIONS = "/2015-03-31/functions/function/invocations"
"""The emulator has one function, and calls it `function`."""

_TIMED_OUT = re.compile(rb"Task timed out after \d+\.\d+ seconds")
_REPORT = {"cause", "causes", "errorMessage", "errorType", "requestId", "stackTrace", "trace"}
_NOTHING = "the emulator answers nothing: the function's runtime ended before it had the call"
_BUSY = "the emulator takes one call at a time, and has another: `reserved_concurrency: 1` keeps to that"


def url_of(url: URL) -> URL:
    """The emulator's only path, where the URL has none."""
    return url if url.path.strip("/") else url.with_path(INVOCATIONS)


def own_reply(exchange: Exchange) -> Reply | None:
    """What the emulator means by this, None where it means what HTTP means."""
    match exchange:
        case Answered(status=200, body=body):
            return _failed(body)
        case Answered(status=400, body=b""):
            return Refused(Outcome.THROTTLED, _BUSY)
        case _:
            return None


def _failed(body: bytes) -> Errored | None:
    if not body:
        return Errored(Outcome.FUNCTION_ERROR, _NOTHING)
    if _TIMED_OUT.fullmatch(body):
        return Errored(Outcome.TIMEOUT, body.decode())
    error = thrown(body)
    if error is None or not _is_report(body):
        return None
    outcome = Outcome.TIMEOUT if error.kind == "Sandbox.Timedout" else Outcome.FUNCTION_ERROR
    return Errored(outcome, short(error.text))


def _is_report(body: bytes) -> bool:
    """A function may return an object with an `errorMessage` in it; a report holds nothing but the error."""
    return _REPORT.issuperset(json.loads(body))
