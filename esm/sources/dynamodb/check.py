"""What `esm validate --connect` finds out about a stream: whether it may be read, and what will surprise."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from esm.checkpoint import Start
from esm.errors import Disconnected
from esm.model import Finding
from esm.sources.dynamodb.options import DynamoOptions
from esm.sources.dynamodb.service import ON, Service
from esm.sources.dynamodb.shard import DynamoShard


async def findings(
    service: Callable[[], AbstractAsyncContextManager[Service]], options: DynamoOptions
) -> Sequence[Finding]:
    """Asks for the stream, its shards, and one record, which consumes nothing."""
    try:
        async with service() as opened:
            summary = await opened.summary(await opened.latest())
            await _read_one(opened, summary)
    except Disconnected as problem:
        return (Finding(broken=True, text=_refusal(problem, options)),)
    return tuple(Finding(broken=False, text=text) for text in _remarks(summary))


async def _read_one(service: Service, summary: Mapping[str, Any]) -> None:
    """Without it, only half of what is needed would be known to be allowed."""
    for shard in (summary.get("Shards") or ())[:1]:
        named = {"StreamArn": summary["StreamArn"], "ShardId": shard["ShardId"]}
        reader = DynamoShard(service.fetch, named, "", by_time=False, wall=lambda: 0.0, children=_nobody)
        await reader.fetch(await reader.iterator(Start()), 1)


async def _nobody() -> None:
    return None


def _remarks(summary: Mapping[str, Any]) -> Sequence[str]:
    arn, remarks = summary["StreamArn"], []
    if summary.get("StreamStatus") not in ON:
        remarks.append(
            f"{arn} is switched off: what it holds is read, nothing new will come; `table: NAME` instead of an "
            "ARN follows a table when its stream is switched on again"
        )
    if summary.get("StreamViewType") == "KEYS_ONLY":
        remarks.append(f"{arn} has the view type KEYS_ONLY: events have the keys of items and no images")
    return remarks


def _refusal(problem: Disconnected, options: DynamoOptions) -> str:
    """AWS's own text where access is denied."""
    if problem.code != "AccessDenied":
        return problem.reason
    return (
        f"Cannot access stream {options.called}. Please ensure the role can perform the GetRecords, "
        "GetShardIterator, DescribeStream, and ListStreams Actions on your stream in IAM."
    )
