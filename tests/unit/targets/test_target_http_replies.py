"""From the ending of an HTTP call to a reply: messages, Retry-After, redirects."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from esm.clients.http import Answered, Broken, Lapsed, Unreached
from esm.model import Errored, Outcome, Refused, Reply, Returned
from esm.targets.http.redirects import next_hop
from esm.targets.http.replies import reply_to
from esm.targets.retry_after import retry_after

NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT
FUNCTION_ERROR = Outcome.FUNCTION_ERROR


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return reply_to(Answered(status, given, body), refused={429, 503}, timeout=30.0, now=NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("Wed, 21 Oct 2015 07:29:30 GMT", 90.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wednesday, 21-Oct-15 07:29:00 GMT", 60.0),
        ("Wed Oct 21 07:29:00 2015", 60.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0663", None),
        ("NaN", None),
        ("Wed, 99 Oct 2015 07:29:30 GMT", None),
        ("Wed, 21 Oct 99999 07:29:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text())
def test_retry_after_never_fails(value: str) -> None:
    seconds = retry_after(value, NOW)
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


@given(
    st.integers(100, 999),
    st.binary(),
    st.dictionaries(st.sampled_from(["Retry-After", "X-Amz-Function-Error"]), st.text()),
)
def test_every_answer_is_a_reply(status: int, body: bytes, headers: dict[str, str]) -> None:
    seen = reply_to(Answered(status, headers, body), refused={429}, timeout=30.0, now=NOW)
    if isinstance(seen, Returned):
        assert seen.payload == body
    else:
        assert len(seen.message) < 400
        assert "\n" not in seen.message


def test_what_was_never_sent_is_neutral_and_what_was_counts() -> None:
    def ending(exchange: Unreached | Broken | Lapsed) -> Reply:
        return reply_to(exchange, refused=(), timeout=1.5, now=NOW)

    assert ending(Unreached("no")) == Refused(Outcome.UNREACHABLE, "no")
    assert ending(Broken("bad")) == Errored(FUNCTION_ERROR, "bad")
    assert ending(Lapsed()) == Errored(Outcome.TIMEOUT, "no complete answer within 1.5 s")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "HTTP 500 Internal Server Error"),
        (b"it\nbroke", "HTTP 500 Internal Server Error"),
        (b'{"errorType":"E","errorMessage":"m"}', "HTTP 500 Internal Server Error: E: m"),
        (b'{"errorMessage":"m"}', "HTTP 500 Internal Server Error: Error: m"),
        (b'{"errorMessage":7}', "HTTP 500 Internal Server Error"),
        (b'{"errorMessage":"%b"}' % (b"m" * 999), f"HTTP 500 Internal Server Error: Error: {'m' * 261}…"),
        (b"[" * 100_000, "HTTP 500 Internal Server Error"),
        (b"\xff", "HTTP 500 Internal Server Error"),
    ],
)
def test_the_message_of_an_error(body: bytes, message: str) -> None:
    """Only what the function reports as its error: any other body may repeat the payload it was sent."""
    assert reply(500, body) == Errored(FUNCTION_ERROR, message)


def test_a_function_error_counts_whatever_the_status() -> None:
    for status in (200, 404, 500):
        assert reply(status, b"no", X_Amz_Function_Error="Handled") == Errored(FUNCTION_ERROR, "Handled")
    assert isinstance(reply(429, X_Amz_Function_Error="Handled"), Refused)


@pytest.mark.parametrize(
    ("status", "location", "message"),
    [
        (404, "", "HTTP 404 Not Found from http://h/a: correct `url`"),
        (401, "", "HTTP 401 Unauthorized from http://h/a: correct `auth` or `headers`"),
        (
            307,
            "http://u:hunter2@there:8080/b?k=hunter2",
            (
                "HTTP 307 Temporary Redirect from http://h/a: redirects to http://there:8080/b: "
                "set `url` to it, or, on the same host, `allow_redirects`"
            ),
        ),
        (304, "", "HTTP 304 Not Modified from http://h/a: the redirect leads nowhere: correct `url`"),
        (302, "http://[x", "HTTP 302 Found from http://h/a: the redirect leads nowhere: correct `url`"),
    ],
)
def test_a_refusal_names_the_address_and_no_secret(status: int, location: str, message: str) -> None:
    answer = Answered(status, {"Location": location}, b"")
    url = URL("http://u:hunter2@h/a?k=hunter2#hunter2")
    assert reply_to(answer, refused=(), timeout=1, now=NOW, url=url) == Refused(Outcome.MISCONFIGURED, message)


HERE = URL("http://h/a?k=v")


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/b", "http://h/b"),
        ("b", "http://h/b"),
        ("http://h/b", "http://h/b"),
        ("http://h:80/b", "http://h/b"),
        ("https://h/a", "https://h/a"),
        ("https://h:8443/a", "https://h:8443/a"),
        ("http://h:8080/a", None),
        ("http://other/a", None),
        ("//other/a", None),
        ("https://other/a", None),
        ("file:///etc/passwd", None),
        ("http://h/a?k=v", None),
        ("http://[x", None),
    ],
)
def test_where_a_redirect_may_go(location: str, there: str | None) -> None:
    hop = next_hop(HERE, Answered(307, {"Location": location}, b""))
    assert (None if hop is None else str(hop)) == there


def test_never_from_tls_to_plain_text() -> None:
    assert next_hop(URL("https://h/a"), Answered(307, {"Location": "http://h/a"}, b"")) is None


@pytest.mark.parametrize("exchange", [Answered(303, {"Location": "/b"}, b""), Answered(200, {}, b""), Lapsed()])
def test_what_is_no_redirect(exchange: Answered | Lapsed) -> None:
    assert next_hop(HERE, exchange) is None
