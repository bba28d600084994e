"""AWS's own matcher of event patterns, a Java library. EventBridge runs it; Lambda's filters have its syntax."""

from pathlib import Path

from .maven import PLUGIN, fetch, pom
from .recipe import Package

_VERSION = "2.1.0"
_POM = pom("event-ruler", "software.amazon.event.ruler", "event-ruler", _VERSION)


def _install(home: Path) -> None:
    fetch(home, _POM)


EVENT_RULER = Package("event_ruler", _VERSION, origin=_POM + PLUGIN, install=_install)
