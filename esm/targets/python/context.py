"""The second argument of a handler: what code written for Lambda looks at, with the names it has there."""

import os
import time
from typing import Any

from esm.targets.local_function import Identity, memory


class Context:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html; the memory is the machine's."""

    def __init__(self, identity: Identity, request_id: str, timeout: float) -> None:
        self.function_name = identity.name
        self.function_version = "$LATEST"
        self.invoked_function_arn = identity.arn
        self.aws_request_id = request_id
        self.memory_limit_in_mb = memory()
        self.log_group_name = f"/aws/lambda/{identity.name}"
        self.log_stream_name = str(os.getpid())
        self.identity: Any = None
        self.client_context: Any = None
        self._deadline = time.monotonic() + timeout

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))
