"""Takes a member out of its group: a request of Kafka's protocol that its Python client cannot make for others.

LeaveGroup (key 13, version 3), as https://kafka.apache.org/protocol describes it. Anybody may send it for a member
whose id he knows; the member finds out with its next heartbeat, as if it had been silent for too long.
"""

import socket
import struct

_KEY, _VERSION = 13, 3
_TIMEOUT_SECONDS = 10.0


def evict(address: str, group: str, member: str) -> None:
    """The coordinator has to be at that address. Raises OSError."""
    host, port = address.rsplit(":", 1)
    body = _text(group) + struct.pack(">i", 1) + _text(member) + struct.pack(">h", -1)
    request = struct.pack(">hhi", _KEY, _VERSION, 0) + _text("tests") + body
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answer:
            (size,) = struct.unpack(">i", answer.read(4))
            _, _, error = struct.unpack_from(">iih", answer.read(size))
    assert not error, f"error {error} of LeaveGroup"


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()
