"""Which of the records that were read pass the mapping's filters.

A record that a source's codec cannot decode is kept and said: a message must not be deleted because something
went wrong while it was looked at.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from esm.core.filtering import FilterSet
from esm.model import Record
from esm.ports import Codec
from esm.runtime.happenings import Unfilterable
from esm.runtime.world import World


@dataclass(frozen=True, slots=True)
class Sieve:
    """The filters of one lane; without any, nothing is decoded and everything passes."""

    mapping: str
    codec: Codec
    filters: FilterSet | None
    world: World

    def dropped(self, records: Iterable[Record]) -> list[Record]:
        """Those that no filter lets pass."""
        if self.filters is None:
            return []
        return [record for record in records if not self.keeps(record)]

    def keeps(self, record: Record) -> bool:
        """Whether a filter lets it pass. Never raises."""
        try:
            return self.filters is None or self.filters.keeps(self.codec.view(record))
        except Exception as error:  # noqa: BLE001 - a codec may be anybody's
            why = f"{type(error).__name__}: {error}"
            self.world.tell(Unfilterable(self.mapping, record.id, why))
            return True
