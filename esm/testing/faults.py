"""What goes wrong in a scripted world: decided by a seeded chance and counted, so that tests can prove it did."""

import random
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Faults:
    """What goes wrong, each kind with its probability per call; `fired` counts."""

    chance: random.Random
    rates: dict[str, float] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)

    def hit(self, kind: str) -> bool:
        """Draws for one kind of fault."""
        if self.chance.random() >= self.rates.get(kind, 0.0):
            return False
        self.fired[kind] += 1
        return True
