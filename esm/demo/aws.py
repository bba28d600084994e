"""Calls of AWS's JSON protocols that the demonstration makes itself.

Deliberately not the client that the engine uses: the account is to depend on nothing of it. Nobody here checks
signatures, and no credentials of this machine are looked at.
"""

import asyncio
import json
from typing import Any

import aiohttp

from esm.demo.failures import DemoFailed

REGION = "us-east-1"

_PATIENCE = 10.0
_LOOK_EVERY = 0.02

# kinesis-local wants to see a signature, of whatever worth.
_SEALED = {
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": f"AWS4-HMAC-SHA256 Credential=demo/20260101/{REGION}/demo/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=unchecked",
}


class Service:
    """One service at `endpoint` (a URL). `target`: its name in the protocol, `version`: of the protocol."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, target: str, version: str) -> None:
        self._session = session
        self._endpoint = endpoint
        self._target = target
        self._type = f"application/x-amz-json-{version}"

    async def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """One call. Raises `DemoFailed` with what the server said."""
        headers = {**_SEALED, "X-Amz-Target": f"{self._target}.{action}", "Content-Type": self._type}
        try:
            async with self._session.post(
                self._endpoint, data=json.dumps(parameters), headers=headers
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DemoFailed(f"{self._endpoint} did not answer {action}: {error or 'timeout'}") from None
        if response.status != 200:
            raise DemoFailed(f"{self._endpoint} refused {action}: {response.status} {text}")
        return dict(json.loads(text or "{}"))

    async def settled(self, status: str, action: str, **parameters: Any) -> dict[str, Any]:
        """What is described, as soon as its member `status` is ACTIVE; `DemoFailed` after 10 s."""
        try:
            async with asyncio.timeout(_PATIENCE):
                while True:
                    (found,) = (await self.call(action, **parameters)).values()
                    if found[status] == "ACTIVE":
                        return dict(found)
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise DemoFailed(f"{self._endpoint}: {parameters} did not become active") from None
