"""Options of the HTTP target: what is accepted, what is refused and why, and that secrets stay secret."""

from typing import Any

import pytest
from pydantic import ValidationError

from esm.targets.http import PLUGIN, HttpOptions

URL = "https://billing.internal/invoke"
SECRET = "hush-hush-hush"


def test_defaults() -> None:
    options = HttpOptions(url=URL)
    assert options.timeout == 30.0
    assert options.max_response_bytes == 6 * 1024 * 1024
    assert options.refused_statuses == {429, 503}
    assert options.max_connections is None
    assert options.allow_redirects is False


@pytest.mark.parametrize("text", ["http://h/x", "https://h:8443/x?y=z", "HTTP://H/"])
def test_a_url_alone_is_an_http_target(text: str) -> None:
    assert PLUGIN.parse(text) == {"url": text}


@pytest.mark.parametrize("text", ["python:a:b", "billing", "ftp://h/", "arn:aws:lambda:x", "", "httpx://h"])
def test_other_texts_are_not(text: str) -> None:
    assert PLUGIN.parse(text) is None


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": "billing.internal/invoke"}, "write http://host"),
    ({"url": "ftp://h/"}, "write http://host"),
    ({"url": "http:///x"}, "write http://host"),
    ({"url": ""}, "write http://host"),
    ({"url": "http://h:99999/"}, "[Pp]ort"),
    ({"url": f"http://u:{SECRET}@h/"}, "use auth"),
    ({"timeout": 0}, "greater than 0"),
    ({"timeout": -1}, "greater than 0"),
    ({"timeout": "901s"}, "less than or equal to 900"),
    ({"timeout": "soon"}, "no duration"),
    ({"timeout": float("nan")}, "greater than 0"),
    ({"max_connections": 0}, "greater than or equal to 1"),
    ({"max_response_bytes": 0}, "greater than or equal to 1"),
    ({"refused_statuses": [200]}, "greater than or equal to 400"),
    ({"refused_statuses": [600]}, "less than or equal to 599"),
    ({"headers": {"Content-Type": "text/plain"}}, "set by the engine"),
    ({"headers": {"idempotency-key": "1"}}, "set by the engine"),
    ({"headers": {"X Y": "1"}}, "no header name"),
    ({"headers": {"": "1"}}, "no header name"),
    ({"headers": {"X-Key": f"{SECRET}\r\nX-Evil: 1"}}, "line break"),
    ({"auth": {}}, "one of basic"),
    ({"auth": {"bearer": SECRET, "basic": {"username": "u", "password": SECRET}}}, "one of basic"),
    ({"auth": {"bearer": f"{SECRET}\n"}}, "line break"),
    ({"auth": {"basic": {"username": "u"}}}, "password"),
    ({"auth": {"bearer": SECRET}, "headers": {"authorization": SECRET}}, "exclude each other"),
    ({"tls": {"key": "/k.pem"}}, "key needs certificate"),
    ({"tls": {"insecure": True}}, "Extra inputs"),
    ({"url": "http://h/", "tls": {"ca": "/ca.pem"}}, "https"),
    ({"signature": {"secret": ""}}, "at least 1"),
    ({"metod": "PUT"}, "Extra inputs"),
]


@pytest.mark.parametrize(
    ("given", "says"), WRONG, ids=[str(sorted(given)) + str(n) for n, (given, _) in enumerate(WRONG)]
)
def test_what_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        HttpOptions.model_validate({"url": URL, **given})
    assert SECRET not in str(caught.value)


def test_secrets_do_not_print() -> None:
    options = HttpOptions.model_validate(
        {
            "url": URL,
            "headers": {"X-Key": SECRET},
            "auth": {"basic": {"username": "u", "password": SECRET}},
            "signature": {"secret": SECRET},
        }
    )
    assert SECRET not in f"{options!r}{options}{options.model_dump_json()}"
