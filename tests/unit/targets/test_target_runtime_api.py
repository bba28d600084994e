"""The Runtime API: what workers from outside may do to the target, and what they are told."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from functions.http_servers import free_port
from runtime_hand import CONTEXT, PATIENCE, Asked, Hand, call, listening

from esm.model import Errored, Outcome, Refused, Returned
from esm.plugins import TargetContext
from esm.targets.runtime import RuntimeOptions, open_runtime
from esm.targets.runtime import target as runtime_target
from esm.targets.runtime.desk import Desk
from esm.targets.runtime.replies import LARGEST_ANSWER

SECRET = "s3cret-s3cret-s3cret"
ACCEPTED = (202, {"status": "OK"})


async def test_an_invocation_reaches_a_worker_and_its_answer_comes_back() -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        worker = group.create_task(hand.next())
        await attached(target)
        running = group.create_task(target.invoke(call(n=1)))
        asked = await worker
        assert asked.event == {"n": 1}
        arn = "arn:aws:lambda:eu-west-1:000000000000:function:billing"
        assert asked.headers["Lambda-Runtime-Invoked-Function-Arn"] == arn
        assert asked.headers["Lambda-Runtime-Deadline-Ms"].isdigit()
        trace = asked.headers["Lambda-Runtime-Trace-Id"]
        assert {part.partition("=")[0] for part in trace.split(";")} == {"Root", "Parent", "Sampled"}
        assert await hand.respond(asked.id, b'{"batchItemFailures": []}') == ACCEPTED
        meta = {"request_id": asked.id, "executed_version": "$LATEST"}
        assert await running == Returned(b'{"batchItemFailures": []}', meta)


async def attached(target: runtime_target.RuntimeTarget, workers: int = 1) -> None:
    """Returns when so many workers wait."""
    async with asyncio.timeout(PATIENCE):
        while target._desk.waiting < workers:  # noqa: ASYNC110 - the target tells nobody
            await asyncio.sleep(0.005)


async def handed_over(target: runtime_target.RuntimeTarget, hand: Hand, group: asyncio.TaskGroup) -> Any:
    """An invocation under way and what the worker got of it."""
    worker = group.create_task(hand.next())
    await attached(target)
    running = group.create_task(target.invoke(call(n=1)))
    return running, await worker


ERRORS: list[tuple[bytes, str | None, str]] = [
    (b'{"errorType": "KeyError", "errorMessage": "id", "stackTrace": ["a"]}', "Function.KeyError", "KeyError: id"),
    (b'{"errorMessage": "id"}', "Function.Unknown", "Function.Unknown: id"),
    (b'{"errorType": ["x"], "errorMessage": "id\\nof"}', None, "['x']: id of"),
    (b"no json", "Function.Odd", "Function.Odd"),
    (b"\xff\xfe", None, "Unhandled"),
    (b"[]", None, "Unhandled"),
    (b"", None, "Unhandled"),
    (b"[" * 100_000, None, "Unhandled"),
]


@pytest.mark.parametrize(("body", "header", "says"), ERRORS, ids=[repr(body[:20]) for body, _, _ in ERRORS])
async def test_an_error_is_the_functions(body: bytes, header: str | None, says: str) -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        headers = {"Lambda-Runtime-Function-Error-Type": header} if header else None
        assert await hand.fail(asked.id, body, headers) == ACCEPTED
        reply = await running
    assert isinstance(reply, Errored)
    assert (reply.outcome, reply.message) == (Outcome.FUNCTION_ERROR, says)
    assert reply.meta["request_id"] == asked.id
    assert reply.meta["error_type"] == says.partition(": ")[0]


@pytest.mark.parametrize("request_id", ["x", "%00", "a" * 5000, "%F0%9F%98%80", "%ff"])
async def test_an_invocation_that_never_was_is_not_known(request_id: str) -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        for path in ("response", "error"):
            status, said = await hand.post(f"invocation/{request_id}/{path}", b"{}")
            assert (status, said["errorType"]) == (400, "InvalidRequestID")
        assert not running.done()
        await hand.respond(asked.id, b"1")
        assert isinstance(await running, Returned)


async def test_only_the_first_answer_counts() -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        assert await hand.respond(asked.id, b"1") == ACCEPTED
        assert (await hand.respond(asked.id, b"2"))[0] == 400
        assert (await hand.fail(asked.id, b"{}"))[0] == 400
        reply = await running
    assert isinstance(reply, Returned)
    assert reply.payload == b"1"


async def test_nobody_attached_is_a_refusal_that_says_how_to() -> None:
    async with listening(secret=SECRET) as (target, _):
        reply = await target.invoke(call())
    assert isinstance(reply, Refused)
    assert reply.outcome is Outcome.UNREACHABLE
    assert "no worker is attached: start one with AWS_LAMBDA_RUNTIME_API=127.0.0.1:" in reply.message
    assert reply.message.endswith("/SECRET")
    assert SECRET not in reply.message


async def test_whoever_asks_with_a_wrong_secret_is_told_of_where_nobody_is_attached() -> None:
    async with listening(secret=SECRET) as (target, hand):
        origin = hand.root.removesuffix(SECRET)
        assert await hand.status("GET", f"{origin}wrong/2018-06-01/runtime/invocation/next") == (404, "")
        reply = await target.invoke(call())
    assert isinstance(reply, Refused)
    assert "somebody asked at a wrong address or with a wrong secret: it has to be AWS_LAMBDA_RUNTIME_API=" in (
        reply.message
    )
    assert SECRET not in reply.message


async def test_a_worker_that_cannot_be_initialized_says_why() -> None:
    async with listening() as (target, hand):
        error = {"errorType": "Runtime.ImportModuleError", "errorMessage": "no module 'app'"}
        assert await hand.post("init/error", json.dumps(error)) == ACCEPTED
        reply = await target.invoke(call())
    assert isinstance(reply, Refused)
    assert "Runtime.ImportModuleError: no module 'app'" in reply.message


async def test_concurrency_is_the_number_of_workers_and_the_rest_waits_in_turn() -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        workers = [group.create_task(hand.next()) for _ in range(2)]
        await attached(target, 2)
        running = [group.create_task(target.invoke(call(n=n))) for n in range(4)]
        asked = [await worker for worker in workers]
        assert [each.event["n"] for each in asked] == [0, 1]
        for n in (2, 3):
            await hand.respond(asked[n - 2].id, b"null")
            asked.append(await hand.next())
            assert asked[n].event == {"n": n}
        for each in asked[2:]:
            await hand.respond(each.id, b"null")
        assert [type(await task) for task in running] == [Returned] * 4


async def test_a_worker_between_two_questions_is_expected_back() -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        await hand.respond(asked.id, b"1")
        await running
        again = group.create_task(target.invoke(call(n=2)))
        assert (await hand.next()).event == {"n": 2}
        again.cancel()


async def test_all_busy_for_too_long_is_a_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_target, "_LONGEST_START", -PATIENCE + 0.1)
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        reply = await target.invoke(call(n=2))
        assert isinstance(reply, Refused)
        assert reply.outcome is Outcome.THROTTLED
        await hand.respond(asked.id, b"1")
        assert isinstance(await running, Returned)


async def test_one_that_hangs_up_while_it_waits_gets_nothing() -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        gone = group.create_task(hand.next())
        await attached(target)
        gone.cancel()
        async with asyncio.timeout(PATIENCE):
            while target._desk.waiting:  # noqa: ASYNC110 - the target tells nobody
                await asyncio.sleep(0.005)
        running = group.create_task(target.invoke(call(n=1)))
        asked = await hand.next()
        await hand.respond(asked.id, b"1")
        assert isinstance(await running, Returned)


async def test_a_worker_that_hangs_up_as_it_is_given_one_leaves_it_to_the_next() -> None:
    ids = iter("ab")
    desk, place = Desk(lambda: next(ids)), object()
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(desk.next(place))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        first, second = desk.submit(b"1"), desk.submit(b"2")
        gone.cancel()
        await asyncio.wait([gone])
        assert await desk.next(place) is first  # type: ignore[arg-type]
        assert await desk.next(place) is second  # type: ignore[arg-type]
    assert gone.cancelled()


async def test_what_nobody_waits_for_is_not_handed_out() -> None:
    ids = iter("ab")
    desk, place = Desk(lambda: next(ids)), object()
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(desk.next(place))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        desk.drop(desk.submit(b"1"))
        second = desk.submit(b"2")
        assert await worker is second


async def test_a_timeout_makes_the_answer_late_and_the_worker_goes_on() -> None:
    async with listening(timeout=0.2) as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        reply = await running
        assert isinstance(reply, Errored)
        assert (reply.outcome, reply.message) == (Outcome.TIMEOUT, "Task timed out after 0.20 seconds")
        status, said = await hand.respond(asked.id, b"1")
        assert (status, said["errorType"]) == (400, "InvalidRequestID")
        running, asked = await handed_over(target, hand, group)
        await hand.respond(asked.id, b"1")
        assert isinstance(await running, Returned)


async def test_an_answer_that_is_still_on_its_way_is_late_too() -> None:
    started = asyncio.Event()
    over = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"["
        started.set()
        await over.wait()
        yield b"]"

    async with listening(timeout=0.3) as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        answer = group.create_task(hand.respond(asked.id, slowly()))
        await started.wait()
        reply = await running
        assert isinstance(reply, Errored)
        assert reply.outcome is Outcome.TIMEOUT
        over.set()
        assert (await answer)[0] == 400


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for at in range(0, size, 2**20):
        yield b"x" * min(2**20, size - at)


@pytest.mark.parametrize("path", ["respond", "fail"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_too_large_an_answer_is_an_error_of_the_function(path: str, *, chunked: bool) -> None:
    size = LARGEST_ANSWER + 1
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        status, said = await getattr(hand, path)(asked.id, in_pieces(size) if chunked else BytesIO(b"x" * size))
        assert (status, said["errorType"]) == (413, "RequestEntityTooLarge")
        reply = await running
    assert isinstance(reply, Errored)
    assert reply.message.startswith("Function.ResponseSizeTooLarge: ")


async def test_the_largest_answer_passes() -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        assert await hand.respond(asked.id, in_pieces(LARGEST_ANSWER)) == ACCEPTED
        reply = await running
    assert isinstance(reply, Returned)
    assert len(reply.payload) == LARGEST_ANSWER


async def test_a_stream_is_refused_because_its_errors_come_too_late_to_be_seen() -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        headers = {"Lambda-Runtime-Function-Response-Mode": "streaming"}
        status, said = await hand.respond(asked.id, in_pieces(10), headers)
        assert (status, said["errorType"]) == (400, "Runtime.StreamingUnsupported")
        reply = await running
    assert isinstance(reply, Errored)
    assert reply.message.startswith("Runtime.StreamingUnsupported: ")


async def test_the_cause_of_an_error_may_be_a_large_header() -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        headers = {"Lambda-Runtime-Function-XRay-Error-Cause": "x" * (2**20 - 1)}
        assert await hand.fail(asked.id, b'{"errorMessage": "m"}', headers) == ACCEPTED
        await running


PATHS = [
    "",
    "/",
    "/2018-06-01/runtime/",
    "/2018-06-01/runtime/invocation/next/",
    "/2018-06-01/runtime/restore/next",
]


async def test_without_the_secret_nobody_is_told_anything() -> None:
    async with listening(secret=SECRET) as (target, hand), asyncio.TaskGroup() as group:
        origin = hand.root.removesuffix(f"/{SECRET}")
        for prefix in ("", "/", f"/{SECRET}x", f"/{SECRET[:-1]}", f"//{SECRET}", f"/x/{SECRET}", "/%FF", "/ä"):
            for path in ("invocation/next", "nothing"):
                url = f"{origin}{prefix}/2018-06-01/runtime/{path}"
                assert await hand.status("GET", url) == (404, ""), url
        for path in PATHS:
            assert await hand.status("GET", f"{hand.root}{path}") == (404, "")
        assert await hand.status("POST", f"{hand.root}/2018-06-01/runtime/invocation/next") == (404, "")
        assert target._desk.waiting == 0
        running, asked = await handed_over(target, hand, group)
        await hand.respond(asked.id, b"1")
        assert isinstance(await running, Returned)


async def test_a_stranger_cannot_fill_the_memory_with_headers() -> None:
    async with listening(secret="s" * 16) as (_, hand):
        many = {f"X-{number}": "x" for number in range(25)}
        async with hand.session.get(hand.root, headers=many) as answer:
            assert answer.status == 400


async def test_a_target_without_a_functions_name_lends_its_own_as_far_as_an_arn_allows() -> None:
    at = f"127.0.0.1:{free_port()}"
    async with (
        aiohttp.ClientSession() as session,
        open_runtime(RuntimeOptions(listen=at), TargetContext("shop.orders/target", {})) as target,
        asyncio.TaskGroup() as group,
    ):
        hand = Hand(session, f"http://{at}")
        running, asked = await handed_over(target, hand, group)
        arn = "arn:aws:lambda:us-east-1:000000000000:function:shop-orders-target"
        assert asked.headers["Lambda-Runtime-Invoked-Function-Arn"] == arn
        running.cancel()


async def test_a_cancelled_call_is_forgotten() -> None:
    async with listening() as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        running.cancel()
        await asyncio.wait([running])
        assert (await hand.respond(asked.id, b"1"))[0] == 400


async def test_closing_sends_waiting_workers_away() -> None:
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        async with listening() as (target, hand):
            url = f"{hand.root}/2018-06-01/runtime/invocation/next"
            worker = group.create_task(Hand(session, "").status("GET", url))
            await attached(target)
        status, said = await worker
        assert (status, json.loads(said)["errorType"]) == (500, "Runtime.Closed")


async def test_an_address_that_is_taken_is_told_when_it_is_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = RuntimeOptions(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ValueError, match=r"listen: cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
            async with open_runtime(options, CONTEXT):
                pass


async def test_a_worker_that_is_cut_off_in_its_answer_has_not_answered() -> None:
    async with listening(timeout=1.0) as (target, hand), asyncio.TaskGroup() as group:
        running, asked = await handed_over(target, hand, group)
        assert isinstance(asked, Asked)
        host, port = hand.root.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        path = f"/2018-06-01/runtime/invocation/{asked.id}/response"
        writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[1".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        reply = await running
    assert isinstance(reply, Errored)
    assert reply.outcome is Outcome.TIMEOUT
