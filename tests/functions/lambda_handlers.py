"""Functions written for Lambda, as AWS's runtime client for Python runs them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Event = dict[str, Any]


def handler(event: Event, context: Any) -> Any:
    """Does what the event says: what `esm.testing.target_suite` asks for, and worse."""
    return _ORDERS[event["do"]](event, context)


def _answer(event: Event, _: Any) -> Any:
    return event["answer"]


def _raise(event: Event, _: Any) -> Any:
    raise RuntimeError(event["text"])


def _hang(_: Event, __: Any) -> Any:
    """For as long as any test lasts."""
    time.sleep(600)


def _exit(_: Event, __: Any) -> Any:
    print("farewell", flush=True)
    os._exit(3)


def _kill(_: Event, __: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _pid(_: Event, __: Any) -> Any:
    return os.getpid()


def _large(event: Event, _: Any) -> Any:
    return "x" * event["size"]


def _print(_: Event, __: Any) -> Any:
    print("to standard output")
    print("to standard error", file=sys.stderr)
    return "printed"


def _family(event: Event, _: Any) -> Any:
    """Starts a program, notes both process ids, and waits for it."""
    with subprocess.Popen(["/bin/sleep", "600"]) as child:
        path = Path(event["pid_file"])
        path.with_suffix(".new").write_text(json.dumps([os.getpid(), child.pid]))
        path.with_suffix(".new").rename(path)
        child.wait()


def _context(_: Event, context: Any) -> Any:
    return {
        "request": context.aws_request_id,
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "left": context.get_remaining_time_in_millis(),
        "trace": os.environ["_X_AMZN_TRACE_ID"],
        "folder": str(Path.cwd()),
        "environment": {
            name: os.environ[name] for name in ("_HANDLER", "LAMBDA_TASK_ROOT", "AWS_REGION", "ADDED")
        },
    }


_ORDERS = {
    "answer": _answer,
    "raise": _raise,
    "hang": _hang,
    "exit": _exit,
    "kill": _kill,
    "pid": _pid,
    "large": _large,
    "print": _print,
    "family": _family,
    "context": _context,
}
