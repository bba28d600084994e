"""What every floor is told on its command line."""

from __future__ import annotations

import argparse


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="receive 10, POST one Lambda SQS event, delete 10, again")
    for name in ("endpoint", "queue-url", "queue-arn", "target"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--workers", type=int, default=16)
    return parser.parse_args()
