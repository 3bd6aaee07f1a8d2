"""All that may be true of one id, from what its only writer was told.

A write that was answered with success has happened. One with any other answer, or with none, may have happened, or not,
or may happen later. One that was only acknowledged (``wait=false``) has happened for good, but a reader may not see it
yet.
"""

from collections.abc import Iterable

from tests.faults.states import Effect, State

_MOST_LATE = 3
_MOST_STATES = 200


class Fate:
    """The states that one id may be in. Its writer sends one request at a time."""

    def __init__(self, state: State = None) -> None:
        self._told: frozenset[State] = frozenset({state})
        self._late: list[Effect] = []
        self._unseen: frozenset[State] = frozenset()
        self._is_anything = False

    def told(self, effect: Effect) -> None:
        """Note a write that was answered ``completed``."""
        self._now(effect)
        self._unseen = frozenset()

    def acknowledged(self, effect: Effect) -> None:
        """Note a write that was taken on and may be applied a little later."""
        before = self.readable
        self._now(effect)
        self._unseen = before

    def unknown(self, effect: Effect) -> None:
        """Note a write that may have happened, or may happen at any time: it may do then what it would not do now."""
        if effect not in self._late:
            self._late.append(effect)
        # With many open writes everything is possible, and to compute that would take for ever.
        self._is_anything |= len(self._late) > _MOST_LATE

    def allows(self, state: State) -> bool:
        """Say whether the id may be in this state once everything has come to rest."""
        return self._is_anything or state in self.possible

    def may_show(self, state: State) -> bool:
        """Say whether a read may show this state now."""
        return self._is_anything or state in self.readable

    @property
    def possible(self) -> frozenset[State]:
        """Every state that the id may be in, as far as they are kept."""
        return frozenset(_closure(self._told, self._late[:_MOST_LATE]))

    @property
    def readable(self) -> frozenset[State]:
        """Every state that a read may show now, as far as they are kept."""
        return self.possible | self._unseen

    @property
    def is_open(self) -> bool:
        """Whether some write may still land: only one that does not depend on it says anything then."""
        return bool(self._late)

    @property
    def is_vague(self) -> bool:
        """Whether so much is possible that one more write would say nothing."""
        return self._is_anything or len(self._late) >= _MOST_LATE

    def _now(self, effect: Effect) -> None:
        self._told = frozenset(effect(state) for state in self.possible)
        if len(self._told) > _MOST_STATES:
            self._told, self._is_anything = frozenset({None}), True


def _closure(states: Iterable[State], late: list[Effect]) -> set[State]:
    """Apply any of the late effects, in any order, each at most once."""
    found = set(states)
    for at, effect in enumerate(late):
        rest = late[:at] + late[at + 1 :]
        found |= _closure({effect(state) for state in states}, rest)
    return found
