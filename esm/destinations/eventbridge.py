"""An EventBridge bus as destination: the document is the detail of an event (PutEvents).

Ours: on AWS a mapping has no bus as destination. Source and detail type are options, because rules match them.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from esm.clients.aws import AwsOptions
from esm.destinations.aws import USUAL_MAX_BYTES, MaxBytes, Service, fitting, in_region, open_service
from esm.errors import Undeliverable
from esm.model import Finding, Notice
from esm.options import Options
from esm.plugins import DestinationContext, DestinationPlugin, Permission

_ANY_ARN = re.compile(r"arn:aws[a-z-]*:events:")
_ARN = re.compile(r"arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/[/.\w-]{1,256}")
_TIME = 14  # bytes that the service counts for an event's time


def _parse(text: str) -> Mapping[str, Any] | None:
    return {"arn": text} if _ANY_ARN.match(text) else None


def _bus(text: str) -> str:
    if not _ARN.fullmatch(text):
        raise ValueError(f"{text!r} is no ARN of an event bus: write arn:aws:events:REGION:ACCOUNT:event-bus/NAME")
    return text


def _source(text: str) -> str:
    if text.startswith("aws."):
        raise ValueError("aws. begins the sources of AWS itself, which the bus refuses from others")
    return text


class EventBridgeOptions(Options):
    """`source` and `detail_type` are those of the event.

    `max_bytes`: how large an entry may be. `aws` as for a source.
    """

    arn: Annotated[str, AfterValidator(_bus)]
    source: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_source)] = "esm"
    detail_type: Annotated[str, Field(min_length=1, max_length=128)] = "Event Source Mapping Result - Failure"
    max_bytes: MaxBytes = USUAL_MAX_BYTES
    aws: AwsOptions = AwsOptions()


class EventBridgeDestination:
    """Implements `Destination` and `Checkable`."""

    def __init__(self, options: EventBridgeOptions, events: Service) -> None:
        self._envelope = {
            "EventBusName": options.arn,
            "Source": options.source,
            "DetailType": options.detail_type,
        }
        self._room = options.max_bytes - _TIME - len((options.source + options.detail_type).encode())
        self._events = events

    async def deliver(self, notice: Notice) -> None:
        entry = {**self._envelope, "Detail": fitting(notice.document, self._room)}
        answer = await self._events.call("put_events", Entries=[entry])
        if answer.get("FailedEntryCount"):
            failed = answer.get("Entries") or [{}]
            code, text = failed[0].get("ErrorCode", ""), failed[0].get("ErrorMessage", "")
            raise Undeliverable(
                f"Error occurred while PutEvents. EventBridge Error Code: {code}."
                f" EventBridge Error Message: {text[:400]}"
            )

    async def check(self) -> Sequence[Finding]:
        """By name as well: not every server finds a bus by its ARN, as AWS does, in other accounts too."""
        bus = self._envelope["EventBusName"]
        found = await self._look(bus)
        return await self._look(bus.partition("event-bus/")[2]) if any(one.broken for one in found) else found

    async def _look(self, bus: str) -> Sequence[Finding]:
        return await self._events.check("describe_event_bus", needs="events:DescribeEventBus", Name=bus)


@asynccontextmanager
async def open_eventbridge(
    options: EventBridgeOptions, context: DestinationContext
) -> AsyncIterator[EventBridgeDestination]:
    reach = in_region(options.arn, options.aws, context.aws)
    async with open_service("events", "EventBridge", reach) as events:
        yield EventBridgeDestination(options, events)


def _called(options: EventBridgeOptions) -> str:
    return options.arn


def _permissions(options: EventBridgeOptions, aws: Mapping[str, Any]) -> Sequence[Permission]:
    return (Permission(("events:PutEvents",), options.arn, options.aws.over(aws).role_arn),)


PLUGIN = DestinationPlugin("eventbridge", EventBridgeOptions, _parse, open_eventbridge, _called, _permissions)
