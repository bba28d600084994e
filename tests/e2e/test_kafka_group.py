"""Daemons that share a topic come, are killed and are held, and nothing is lost."""

import signal

import pytest

from servers import Server, TopicMaker

from .harness import until
from .scene import POISON, NewScene, times


@pytest.mark.timeout(150)
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_daemons_come_are_killed_and_held_and_partitions_are_added(
    scene: NewScene, kafka: Server, make_topic: TopicMaker, protocol: str
) -> None:
    topic = make_topic(kafka.address, partitions=4)
    here = scene(topic, 4)
    here.source = {"group_protocol": protocol}
    first = here.start("first")
    here.flows()
    here.start("killed")
    until(lambda: here.calls("killed"), "both work")
    here.flows()
    here.kill("killed")
    here.flows()
    here.start("second")
    until(lambda: here.calls("second"), "both work again")
    first.signal(signal.SIGSTOP)
    here.flows()  # all partitions, so beyond the session timeout of the one that is held
    first.signal(signal.SIGCONT)
    until(lambda: times(first, "lost"), "the one that was held knows what it has lost")
    topic.grow(6)
    here.load.widen(6)
    here.flows()
    account = here.finish()
    given_up = set(account.stream.given_up)
    assert set(POISON) & set(here.load.taken) <= given_up <= set(POISON) | account.cut_off()


@pytest.mark.timeout(90)
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_static_member_that_is_killed_is_replaced_by_one_of_its_name(
    scene: NewScene, kafka: Server, make_topic: TopicMaker, protocol: str
) -> None:
    """With the newer protocol the name is taken until the session is over, and to the client that is fatal."""
    here = scene(make_topic(kafka.address, partitions=2), 2)
    here.source = {"group_protocol": protocol}
    here.start("first", group_instance_id="only")
    here.flows()
    here.kill("first")
    here.start("second", group_instance_id="only")
    here.flows()
    here.finish()
