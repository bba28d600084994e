"""What the ending of an HTTP call means: pure, from an exchange to a reply.

The table is in docs and README for authors of functions. Its idea: what the function did counts as an
attempt, what kept us from reaching it does not, and a wrong address must not drain a queue into its dead
letters.
"""

from collections.abc import Collection, Mapping
from http import HTTPStatus

from yarl import URL

from esm.clients.http import Answered, Exchange
from esm.model import Errored, Outcome, Refused, Reply, Returned
from esm.targets.retry_after import retry_after
from esm.targets.thrown import short, thrown
from esm.targets.unanswered import unanswered

_MISCONFIGURED = {
    401: "correct `auth` or `headers`",
    403: "correct `auth` or `headers`",
    404: "correct `url`",
    405: "correct `url`, which has to take a POST",
    407: "correct `url`: a proxy answers there",
}
_META = {"x-amzn-requestid": "request_id", "x-amz-executed-version": "executed_version"}


def reply_to(
    exchange: Exchange, *, refused: Collection[int], timeout: float, now: float, url: URL | None = None
) -> Reply:
    """`timeout` in seconds, for the message; `now` in epoch seconds, for a Retry-After that is a date.

    `url`: the one that was called, for messages that blame the address; its user and query are not shown.
    """
    if isinstance(exchange, Answered):
        return _answered(exchange, refused, now, url)
    return unanswered(exchange, timeout)


def _answered(answer: Answered, refused: Collection[int], now: float, url: URL | None) -> Reply:
    status, headers = answer.status, answer.headers
    if status in refused:
        return Refused(Outcome.THROTTLED, _status(status), retry_after(headers.get("Retry-After"), now))
    if "X-Amz-Function-Error" in headers:
        return Errored(Outcome.FUNCTION_ERROR, _thrown(answer), _meta(headers))
    if 200 <= status < 300:
        return Returned(answer.body, _meta(headers))
    if 300 <= status < 400:
        return Refused(Outcome.MISCONFIGURED, _blamed(status, url, _redirected(headers.get("Location"), url)))
    if status in _MISCONFIGURED:
        return Refused(Outcome.MISCONFIGURED, _blamed(status, url, _MISCONFIGURED[status]))
    return Errored(Outcome.FUNCTION_ERROR, _said(answer), _meta(headers))


def _status(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _blamed(status: int, url: URL | None, advice: str) -> str:
    """What a person has to correct, and where the answer came from."""
    return short(f"{_status(status)}{f' from {_shown(url)}' if url else ''}: {advice}")


def _redirected(location: str | None, url: URL | None) -> str:
    try:
        there = _shown(url.join(URL(location)) if url else URL(location)) if location else None
    except ValueError:
        there = None
    if there is None:
        return "the redirect leads nowhere: correct `url`"
    return f"redirects to {there}: set `url` to it, or, on the same host, `allow_redirects`"


def _shown(url: URL) -> str:
    """Scheme, host, port and path: the rest may hold a secret."""
    return str(url.with_user(None).with_query(None).with_fragment(None))


def _thrown(answer: Answered) -> str:
    """As Lambda's runtimes report it."""
    error = thrown(answer.body)
    return short(error.text if error else answer.headers["X-Amz-Function-Error"])


def _said(answer: Answered) -> str:
    error = thrown(answer.body)
    return short(f"{_status(answer.status)}: {error.text}" if error else _status(answer.status))


def _meta(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[header] for header, name in _META.items() if header in headers}
