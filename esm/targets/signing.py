"""Calls signed for Lambda, its function URLs included, by targets that are asked who they are.

The credentials are those of a leased client, so they come from wherever botocore finds them, and botocore
fetches new ones before the old ones end.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from esm.clients.aws import AwsClient, AwsOptions, lease
from esm.clients.aws_errors import translated
from esm.clients.aws_signed import Signed
from esm.clients.http import Exchange
from esm.errors import Disconnected
from esm.model import Outcome, Refused


@asynccontextmanager
async def lambda_client(aws: AwsOptions) -> AsyncIterator[AwsClient]:
    """Raises ValueError when there is no such profile, no region, or nothing to assume the role with."""
    async with AsyncExitStack() as stack:
        try:
            with translated("Lambda"):
                client = await stack.enter_async_context(lease("lambda", aws))
        except Disconnected as problem:
            raise ValueError(problem.reason) from None
        yield client


async def post(signed: Signed, path: str, body: bytes, headers: Mapping[str, str]) -> Exchange | Refused:
    """How the call ended; refused if it could not be signed, and so was not sent."""
    try:
        with translated("Lambda"):
            return await signed.post(path, headers, body)
    except Disconnected as problem:
        return Refused(Outcome.MISCONFIGURED if problem.lasting else Outcome.UNREACHABLE, problem.reason)
