"""What filters cost for each record, beyond decoding it: three fields of a body of 1 KiB, in this process.

A figure is the best of several rounds: what else the machine does only ever adds. To leave decoding out, the
body is handed over decoded, as a source may do whose data is an object already.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from timeit import repeat

from benchmarks.gates import at_most
from benchmarks.outcome import Outcome
from esm.core.filtering import SQS, FilterSet
from esm.core.filtering.data import parsed
from esm.model import Record
from esm.sources.sqs.event import Fragments, SqsCodec

CALLS = 20_000
ROUNDS = 7
BODY_BYTES = 1024
MOST_US = 5.0
PATTERN = {
    "body": {
        "status": ["paid", "shipped"],
        "total": [{"numeric": [">=", 100]}],
        "customer": {"country": [{"prefix": "D"}]},
    }
}
ARRAY_PATTERN = {
    "body": {"lines": {"sku": [{"prefix": "BOOK-"}], "count": [{"numeric": [">", 1]}]}, "status": ["paid"]}
}


def order(status: str) -> str:
    """A JSON body of 1 KiB."""
    lines = [{"sku": "TOY-1", "count": 3, "price": 9.99}, {"sku": "BOOK-7", "count": 2, "price": 19.5}]
    body = {
        "id": 4711,
        "status": status,
        "total": 125.5,
        "customer": {"country": "DE", "name": "A"},
        "lines": lines,
    }
    return json.dumps({**body, "note": "x" * (BODY_BYTES - len(json.dumps({**body, "note": ""})))})


def record(body: str) -> Record:
    message = {
        "MessageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "ReceiptHandle": "AQEB" + "h" * 300,
        "Body": body,
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183", "SenderId": "AIDA"},
        "MD5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
    }
    event = Fragments("arn:aws:sqs:eu-west-1:123456789012:orders", 0).encode(message)
    return Record(1, "m", None, 0.0, 0.0, event, None)


def microseconds(call: Callable[[], object], calls: int) -> float:
    return min(repeat(call, number=calls, repeat=ROUNDS)) / calls * 1e6


async def filter_cost(scale: float) -> Outcome:
    calls = max(100, int(CALLS * scale))
    codec, kept = SqsCodec(), record(order("paid"))
    view, other = codec.view(kept), codec.view(record(order("open")))
    filters, inside = (FilterSet([json.dumps(pattern)], SQS) for pattern in (PATTERN, ARRAY_PATTERN))
    if (filters.keeps(view), filters.keeps(other), inside.keeps(view)) != (True, False, True):
        raise AssertionError("the filters do not do what is measured")
    paid, unpaid = ({**one, "body": parsed(one["body"])[1]} for one in (view, other))
    matching = microseconds(lambda: filters.keeps(paid), calls)
    figures = {
        "decoding the message, us": microseconds(lambda: codec.view(kept), calls),
        "decoding its body, us": microseconds(lambda: parsed(view["body"]), calls),
        "three fields, kept, us": matching,
        "three fields, dropped by the first, us": microseconds(lambda: filters.keeps(unpaid), calls),
        "three fields, two of them in an array, us": microseconds(lambda: inside.keeps(paid), calls),
    }
    verdict = at_most(f"us for three fields beyond decoding, at most {MOST_US:g}", matching, MOST_US)
    return Outcome(f"a body of {len(order('paid')):,} bytes", figures, [verdict])
