"""What an instance makes of the source's records: one look at them, and the stages that follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from service.control.register import Record
from service.control.state import Basis, CollectionState


@dataclass(frozen=True, slots=True)
class Look:
    """All records as of one moment; ``began_at`` is this process's monotonic time before they were asked for.

    ``is_marked`` says that this instance's mark was in the register before.
    """

    records: Sequence[Record]
    began_at: float
    is_marked: bool
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def basis(self) -> Basis:
        """What kind of view comes of it."""
        return Basis.RECORDS if self.is_marked else Basis.UNMARKED

    def is_frozen(self, name: str) -> bool:
        """Say whether a change of the collection is under way."""
        return any(record.state.frozen for record in self.records if record.state.name == name)


def states_in_force(
    known: Sequence[CollectionState], records: Sequence[Record]
) -> tuple[CollectionState, ...]:
    """Return the states by name: the records', and what was last known of collections without one, and of aliases."""
    by_name = {state.name: state for state in known}
    for record in records:
        name = record.state.name
        aliases = by_name[name].aliases if name in by_name else frozenset()
        by_name[name] = replace(record.state, aliases=aliases)
    return tuple(by_name[name] for name in sorted(by_name))
