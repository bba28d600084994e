"""What can be said of a topic and its group before the start, without joining or reading."""

from collections.abc import Sequence

from esm.model import Finding
from esm.sources.kafka.positions import Positions


async def findings(positions: Positions) -> Sequence[Finding]:
    """Empty if all is well. Raises `Disconnected` if the topic or the group cannot be had."""
    if not await positions.partitions():
        return (Finding(broken=True, text=f"topic {positions.topic} has no partitions that we may see"),)
    await positions.committed()
    return ()
