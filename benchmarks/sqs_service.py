"""The operations of the stand-in for SQS by their name in X-Amz-Target, and its control path."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson

from benchmarks.bodies import body
from benchmarks.long_polls import LongPoll, Reply, Waiting, wall_ms
from benchmarks.offering import offer
from benchmarks.standard_queue import SqsError, StandardQueue, Totals

ACCOUNT = "000000000000"
REGION = "us-east-1"

Arguments = dict[str, Any]
Abandon = Callable[[], None]


class Service:
    """The operations, by their name in X-Amz-Target, and the control path."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}/{ACCOUNT}"
        self._queues: dict[str, Waiting] = {}
        self._numbers = itertools.count()
        self._operations: dict[str, Callable[[Arguments], Any]] = {
            "CreateQueue": self._create,
            "GetQueueUrl": self._url,
            "GetQueueAttributes": self._attributes,
            "ListQueueTags": lambda _: {},
            "SendMessage": self._send,
            "SendMessageBatch": self._send_batch,
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_batch,
            "ChangeMessageVisibility": self._change,
            "ChangeMessageVisibilityBatch": self._change_batch,
        }
        self._controls: dict[str, Callable[[Arguments], Any]] = {
            "/control/preload": self._preload,
            "/control/offer": self._offer,
            "/control/release": self._release,
            "/control/totals": self._totals,
            "/control/ids": lambda _: [message_id(n) for n in range(self._sent())],
        }

    def operate(self, operation: str, arguments: Arguments, reply: Reply) -> Abandon | None:
        """Answers now, or later a ReceiveMessage that finds nothing and is not abandoned. Raises SqsError."""
        if operation == "ReceiveMessage":
            return self._receive(arguments, reply)
        if operation not in self._operations:
            raise SqsError("UnsupportedOperation", f"the stand-in does not know {operation}")
        reply(orjson.dumps(self._operations[operation](arguments)))
        return None

    def control(self, path: str, arguments: Arguments) -> bytes | None:
        return orjson.dumps(self._controls[path](arguments)) if path in self._controls else None

    def _find(self, arguments: Arguments) -> Waiting:
        name = arguments["QueueUrl"].rsplit("/", 1)[1] if "QueueUrl" in arguments else arguments["QueueName"]
        if name not in self._queues:
            raise SqsError("QueueDoesNotExist", "The specified queue does not exist.")
        return self._queues[name]

    def _create(self, arguments: Arguments) -> Arguments:
        name, options = arguments["QueueName"], arguments.get("Attributes", {})
        if options.get("FifoQueue") == "true" or name.endswith(".fifo"):
            raise SqsError("UnsupportedOperation", "the stand-in has standard queues only")
        visibility = float(options.get("VisibilityTimeout", 30))
        self._queues.setdefault(name, Waiting(StandardQueue(name, visibility)))
        return self._url(arguments)

    def _url(self, arguments: Arguments) -> Arguments:
        return {"QueueUrl": f"{self._base}/{self._find(arguments).queue.name}"}

    def _attributes(self, arguments: Arguments) -> Arguments:
        queue, now = self._find(arguments).queue, time.monotonic()
        known = {
            "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue.name}",
            "VisibilityTimeout": str(int(queue.visibility)),
            "MessageRetentionPeriod": str(queue.retention),
            "ApproximateNumberOfMessages": str(queue.visible(now)),
            "ApproximateNumberOfMessagesNotVisible": str(queue.in_flight(now)),
            "ApproximateNumberOfMessagesDelayed": "0",
            "ReceiveMessageWaitTimeSeconds": "0",
            "MaximumMessageSize": "1048576",
        }
        wanted = arguments.get("AttributeNames", [])
        return {"Attributes": {name: value for name, value in known.items() if {name, "All"} & set(wanted)}}

    def _receive(self, arguments: Arguments, reply: Reply) -> Abandon:
        waiting = self._find(arguments)
        wanted = arguments.get("MessageSystemAttributeNames") or arguments.get("AttributeNames") or []
        visibility = arguments.get("VisibilityTimeout", waiting.queue.visibility)
        poll = LongPoll(arguments.get("MaxNumberOfMessages", 1), visibility, wanted, reply)
        waiting.receive(poll, arguments.get("WaitTimeSeconds", 0))
        return lambda: waiting.abandon(poll)

    def _store(self, queue: StandardQueue, arguments: Arguments) -> Arguments:
        if arguments.get("MessageAttributes") or arguments.get("DelaySeconds"):
            raise SqsError("UnsupportedOperation", "the stand-in knows no message attributes and no delays")
        message = queue.send(message_id(next(self._numbers)), arguments["MessageBody"], wall_ms())
        return {"MessageId": message.id, "MD5OfMessageBody": message.md5}

    def _send(self, arguments: Arguments) -> Arguments:
        waiting = self._find(arguments)
        sent = self._store(waiting.queue, arguments)
        waiting.wake()
        return sent

    def _send_batch(self, arguments: Arguments) -> Arguments:
        waiting = self._find(arguments)
        sent = [{"Id": entry["Id"], **self._store(waiting.queue, entry)} for entry in arguments["Entries"]]
        waiting.wake()
        return {"Successful": sent}

    def _delete(self, arguments: Arguments) -> Arguments:
        self._find(arguments).queue.delete(arguments["ReceiptHandle"])
        return {}

    def _delete_batch(self, arguments: Arguments) -> Arguments:
        queue = self._find(arguments).queue
        return each_entry(arguments["Entries"], lambda entry: queue.delete(entry["ReceiptHandle"]))

    def _change(self, arguments: Arguments) -> Arguments:
        waiting = self._find(arguments)
        waiting.queue.change_visibility(
            arguments["ReceiptHandle"], arguments["VisibilityTimeout"], time.monotonic()
        )
        waiting.wake()
        return {}

    def _change_batch(self, arguments: Arguments) -> Arguments:
        return each_entry(
            arguments["Entries"], lambda entry: self._change({**entry, "QueueUrl": arguments["QueueUrl"]})
        )

    def _preload(self, arguments: Arguments) -> Arguments:
        self._fill(self._find(arguments), arguments["Count"], arguments["BodyBytes"])
        return {}

    def _fill(self, waiting: Waiting, count: int, body_bytes: int) -> None:
        for _ in range(count):
            number = next(self._numbers)
            waiting.queue.send(message_id(number), body(number, time.monotonic(), body_bytes), wall_ms())
        waiting.wake()

    def _offer(self, arguments: Arguments) -> Arguments:
        waiting, size = self._find(arguments), arguments["BodyBytes"]
        offer(arguments["Count"], arguments["PerSecond"], lambda count: self._fill(waiting, count, size))
        return {}

    def _release(self, _: Arguments) -> Arguments:
        for waiting in self._queues.values():
            for poll in tuple(waiting.polls):
                waiting.give_up(poll)
        return {}

    def _totals(self, _: Arguments) -> Arguments:
        now = time.monotonic()
        queues = [waiting.queue for waiting in self._queues.values()]
        tallies = [asdict(queue.totals) for queue in queues] or [asdict(Totals())]
        return {
            **{name: sum(tally[name] for tally in tallies) for name in tallies[0]},
            "visible": sum(queue.visible(now) for queue in queues),
            "in_flight": sum(queue.in_flight(now) for queue in queues),
            "in_flight_bytes": sum(queue.in_flight_bytes for queue in queues),
            "waiting": sum(len(waiting.polls) for waiting in self._queues.values()),
        }

    def _sent(self) -> int:
        return sum(waiting.queue.totals.sent for waiting in self._queues.values())


def message_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def each_entry(entries: list[Arguments], act: Callable[[Arguments], object]) -> Arguments:
    successful, failed = [], []
    for entry in entries:
        try:
            act(entry)
            successful.append({"Id": entry["Id"]})
        except SqsError as error:
            failed.append({"Id": entry["Id"], "Code": error.code, "Message": str(error), "SenderFault": True})
    return {"Successful": successful, "Failed": failed} if failed else {"Successful": successful}
