"""Calls of AWS JSON by someone who counts: SigV4 by hand with the key of the day kept, orjson on both sides."""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import time
from typing import Any, NamedTuple

import aiohttp
import orjson

SIGNED = "content-type;host;x-amz-date;x-amz-target"


class Service(NamedTuple):
    name: str
    prefix: str
    content_type: str
    endpoint: str
    region: str


@functools.cache
def day_key(day: str, region: str, service: str) -> bytes:
    key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


async def call(http: aiohttp.ClientSession, to: Service, name: str, arguments: Any) -> Any:
    body, target = orjson.dumps(arguments), f"{to.prefix}.{name}"
    now, host = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), to.endpoint.split("//")[1]
    scope = f"{now[:8]}/{to.region}/{to.name}/aws4_request"
    signed = f"content-type:{to.content_type}\nhost:{host}\nx-amz-date:{now}\nx-amz-target:{target}\n"
    canonical = f"POST\n/\n\n{signed}\n{SIGNED}\n{hashlib.sha256(body).hexdigest()}"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(day_key(now[:8], to.region, to.name), to_sign.encode(), "sha256").hex()
    signer = f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    proof = f"{signer}, SignedHeaders={SIGNED}, Signature={signature}"
    headers = {"X-Amz-Date": now, "X-Amz-Target": target, "Authorization": proof}
    headers["Content-Type"] = to.content_type
    async with http.post(to.endpoint, data=body, headers=headers, raise_for_status=True) as answer:
        return orjson.loads(await answer.read())
