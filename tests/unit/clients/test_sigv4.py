"""The signature is botocore's, byte for byte, whatever is signed."""

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import ReadOnlyCredentials  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from esm.clients.sigv4 import Request, sign

OURS = {"authorization", "x-amz-date", "x-amz-security-token", "date", "host", "x-amz-content-sha256"}
WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=", min_size=1, max_size=40)
NAMES = (
    st.text("abcXYZ-09_", min_size=1, max_size=12).filter(lambda name: name.lower() not in OURS)
    | st.sampled_from(["Content-Type", "X-Amz-Target", "User-Agent", "Connection", "X-Amzn-Trace-Id"])
)  # fmt: skip
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=30)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=6, unique_by=lambda pair: pair[0].lower()).map(dict)
PATHS = st.lists(
    st.text("abé中 %~-_.:$*+,;=@()'!&20", max_size=10) | st.sampled_from([".", "..", "", "%2F", "arn:aws:x"]),
    max_size=5,
).map(lambda parts: "/" + "/".join(parts))
PATHS = PATHS.filter(lambda path: not path.startswith("//"))  # the URL would name another host
QUERIES = st.text("ab=&%20+~é,;:", max_size=20)
HOSTS = st.sampled_from(
    [
        ("https://sqs.us-east-1.amazonaws.com", "sqs.us-east-1.amazonaws.com"),
        ("https://LAMBDA.eu-west-1.amazonaws.com:443", "lambda.eu-west-1.amazonaws.com"),
        ("http://127.0.0.1:9324", "127.0.0.1:9324"),
        ("http://localhost:443", "localhost:443"),
        ("http://[::1]:4566", "[::1]:4566"),
    ]
)
CREDENTIALS = st.builds(ReadOnlyCredentials, WORD, WORD, st.none() | WORD)
MOMENTS = st.integers(946_684_800, 4_102_444_800)  # 2000 to 2100


def botocores(
    request: Request, url: str, *, credentials: Any, region: str, service: str, at: float
) -> dict[str, str]:
    """The headers that botocore sends."""
    theirs = AWSRequest(request.method, url, dict(request.headers), request.body)
    with patch("botocore.auth.get_current_datetime", return_value=datetime.fromtimestamp(at, UTC)):
        SigV4Auth(credentials, service, region).add_auth(theirs)
    return {name: value for name, value in theirs.headers.items() if name not in request.headers}


@given(
    host=HOSTS,
    method=st.sampled_from(["POST", "GET", "PUT"]),
    path=PATHS,
    query=QUERIES,
    headers=HEADERS,
    body=st.binary(max_size=200),
    credentials=CREDENTIALS,
    region=st.sampled_from(["us-east-1", "cn-north-1", "eu-isoe-west-1"]),
    service=st.sampled_from(["sqs", "lambda", "kinesis"]),
    at=MOMENTS,
)
def test_every_request_is_signed_as_botocore_signs_it(  # noqa: PLR0913, PLR0917
    host: tuple[str, str],
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    credentials: Any,
    region: str,
    service: str,
    at: int,
) -> None:
    request = Request(host[1], body, method, path, query, headers)
    url = f"{host[0]}{path}" + (f"?{query}" if query else "")
    ours = sign(request, credentials, region, service, at)
    assert ours == botocores(request, url, credentials=credentials, region=region, service=service, at=at)


def test_a_known_signature_stays_what_it_is() -> None:
    """Both signers could change together; this one is AWS's example (POST, "vanilla" of its test suite)."""
    example = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
    at = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
    headers = sign(Request("example.amazonaws.com", b""), example, "us-east-1", "service", at)
    assert headers == {
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    }


def test_a_new_day_and_new_credentials_have_keys_of_their_own() -> None:
    request = Request("h", b"{}")
    old, new = ReadOnlyCredentials("A", "s1", "t1"), ReadOnlyCredentials("A", "s2", "t2")
    moments = [(old, 86_399.9), (old, 86_400.0), (new, 86_400.0), (old, 86_399.9)]
    first, second, third, again = (sign(request, who, "r", "sqs", at)["Authorization"] for who, at in moments)
    assert len({first, second, third}) == 3
    assert again == first
