"""What one instance knows of the stages, and which requests still run under it.

A ``View`` is an immutable snapshot of the control table. Every request takes a lease on the view it was decided
under; an instance confirms a newer revision only when all leases on older views have ended, so that no request is
served or written under a stage that the operator believes is over.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Self

from service.stages import Side, Stage, authority, mirrors


@dataclass(frozen=True, slots=True)
class CollectionState:
    """The control row of one collection.

    ``generation`` is the id of the target's tables (a re-created collection gets a new one), ``None`` while there
    are none. ``epoch`` grows with every stage change; 0 stands for a collection that has no row.
    """

    name: str
    stage: Stage
    generation: int | None = None
    percent: int = 100
    epoch: int = 0
    backfilled: bool = False
    frozen: bool = False
    aliases: frozenset[str] = field(default=frozenset(), compare=False)
    """The target's; in force where the target is right. The source's records of a stage do not have them."""

    @property
    def authority(self) -> Side:
        """The store whose answer is the truth."""
        return authority(self.stage)

    @property
    def is_mirrored(self) -> bool:
        """Whether changes reach both stores."""
        return mirrors(self.stage)


class Basis(StrEnum):
    """Where a view comes from, and so what may be decided under it."""

    CONTROL = "control"
    """The control table in Postgres."""
    RECORDS = "records"
    """The source's records, read by an instance that has said there that it is detached (R6)."""
    UNMARKED = "unmarked"
    """The same records, but the source takes no mark of this instance: only what is not mirrored may pass."""


class View:
    """One snapshot of all control rows, with the leases of the requests that run under it.

    ``is_known`` is false as long as the control table was never read; ``read_at`` is when its states were first seen;
    ``has_all_aliases`` is false while Qdrant does not tell them: a name that is not known may then be a new one.
    ``aliases`` are the source's: where the target is right its own are in force, see :func:`aliases_in_force`.
    """

    def __init__(  # noqa: PLR0913 - what a snapshot is made of
        self,
        revision: int,
        states: Iterable[CollectionState],
        *,
        default_stage: Stage,
        aliases: Mapping[str, str] | None = None,
        has_all_aliases: bool = True,
        basis: Basis = Basis.CONTROL,
        is_known: bool = True,
        read_at: float = 0.0,
    ) -> None:
        self.revision = revision
        self.basis = basis
        self.is_known = is_known
        self.has_all_aliases = has_all_aliases
        self.read_at = read_at
        self.states: Mapping[str, CollectionState] = {state.name: state for state in states}
        of_source = aliases or {}
        in_force = aliases_in_force(self.states.values(), of_source)
        # Without Postgres a copy of its aliases is enough: nothing is answered under them.
        self.aliases: Mapping[str, str] = {
            **(of_source if basis is not Basis.CONTROL else {}),
            **in_force,
        }
        self._gone = of_source.keys() - self.aliases.keys() - self.states.keys()
        self._default_stage = default_stage
        self._leases: Counter[str] = Counter()

    @property
    def is_detached(self) -> bool:
        """Whether this instance decides without Postgres."""
        return self.basis is not Basis.CONTROL

    def state(self, name: str) -> CollectionState:
        """Return the collection's state; one without a row is in the default stage.

        What the source still takes for an alias of a collection that the target is right for is nothing there.
        """
        found = self.states.get(name)
        if found is None:
            stage = Stage.COMPLETE if self.is_gone(name) else self._default_stage
            found = CollectionState(name, stage)
        return found

    def is_gone(self, name: str) -> bool:
        """Say whether the source has an alias of this name that is no longer in force."""
        return name in self._gone

    def is_named(self, name: str) -> bool:
        """Say whether a collection or an alias of this name is known."""
        return name in self.states or name in self.aliases

    def physical(self, name: str) -> str:
        """Return the collection that an alias stands for, or the name itself."""
        return self.aliases.get(name, name)

    @cached_property
    def stages(self) -> frozenset[Stage]:
        """The stages that collections are in, that of the ones without a row among them."""
        return frozenset({state.stage for state in self.states.values()} | {self.state("").stage})

    @property
    def needs_target(self) -> bool:
        """Whether Postgres answers for some collection, or for every new one."""
        is_first = authority(self._default_stage) is Side.TARGET
        return is_first or any(state.authority is Side.TARGET for state in self.states.values())

    @property
    def is_any_frozen(self) -> bool:
        """Whether a stage change holds writes of some collection."""
        return any(state.frozen for state in self.states.values())

    def lease(self, name: str) -> "Lease":
        """Begin a lease of a request to one (physical) collection."""
        self._leases[name] += 1
        return Lease(self._leases, name)

    @property
    def is_idle(self) -> bool:
        """Whether no request runs under this view."""
        return not +self._leases

    def holds_up(self, newer: "View") -> bool:
        """Say whether a request runs under this view to a collection whose state is another one now."""
        return any(self.state(name) != newer.state(name) for name in +self._leases)


def aliases_in_force(
    states: Iterable[CollectionState], of_source: Mapping[str, str]
) -> dict[str, str]:
    """Return the collection that every alias stands for, each by the word of the store that is right for it."""
    on_target = {state.name: state for state in states if state.authority is Side.TARGET}
    kept = {alias: name for alias, name in of_source.items() if name not in on_target}
    return kept | {alias: name for name, state in on_target.items() for alias in state.aliases}


class Lease:
    """A request's hold on a view: until its answer begins, when all that it decides is done."""

    def __init__(self, leases: Counter[str], name: str) -> None:
        self._leases = leases
        self._name: str | None = name

    def end(self) -> None:
        """Give the view free; a second call does nothing."""
        if self._name is not None:
            self._leases[self._name] -= 1
            self._name = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
