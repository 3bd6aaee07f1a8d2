"""What a point may be, and what one operation makes of it. Pure."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Vectors = tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A point that exists: its payload as canonical JSON, its vectors by name."""

    payload: str
    vectors: Vectors

    @property
    def fields(self) -> dict[str, Any]:
        """The payload as a dictionary of the reader's own."""
        found: dict[str, Any] = json.loads(self.payload)
        return found


State = Held | None
"""A point, or that there is none."""

Effect = Callable[[State], State]


def canonical(payload: object) -> str:
    """Return JSON text that is equal exactly when the payloads are."""
    return json.dumps(payload or {}, sort_keys=True, ensure_ascii=False)


def held(payload: object, vectors: Mapping[str, Sequence[float]] | None) -> Held:
    """Return a point from what a store answers."""
    named = sorted((vectors or {}).items())
    return Held(canonical(payload), tuple((name, tuple(values)) for name, values in named))


def either(states: Collection[State]) -> str:
    """Return the states as a person reads them."""
    return " or ".join("gone" if state is None else str(state) for state in states)


def replaced(state: Held) -> Effect:
    """A point is written whole."""
    return lambda _: state


def deleted(_: State) -> State:
    """A point is removed."""
    return None


def cleared(state: State) -> State:
    """A payload is emptied."""
    return None if state is None else replace(state, payload=canonical({}))


def merged(fields: Mapping[str, object]) -> Effect:
    """Payload keys are set."""
    return lambda s: s and replace(s, payload=canonical(s.fields | dict(fields)))


def overwritten(fields: Mapping[str, object]) -> Effect:
    """A payload is replaced."""
    return lambda s: s and replace(s, payload=canonical(fields))


def without_keys(names: Collection[str]) -> Effect:
    """Payload keys are removed."""

    def effect(state: State) -> State:
        if state is None:
            return None
        kept = {name: value for name, value in state.fields.items() if name not in names}
        return replace(state, payload=canonical(kept))

    return effect


def with_vectors(vectors: Mapping[str, Sequence[float]]) -> Effect:
    """Vectors are set, the others stay."""

    def effect(state: State) -> State:
        if state is None:
            return None
        changed = dict(state.vectors) | {name: tuple(v) for name, v in vectors.items()}
        return replace(state, vectors=tuple(sorted(changed.items())))

    return effect


def without_vectors(names: Collection[str]) -> Effect:
    """Vectors are removed."""

    def effect(state: State) -> State:
        if state is None:
            return None
        return replace(state, vectors=tuple(v for v in state.vectors if v[0] not in names))

    return effect


def where(fields: Mapping[str, object], effect: Effect, *, missing: Effect | None = None) -> Effect:
    """The effect for points whose payload has these values; ``missing`` where there is no point."""

    def narrowed(state: State) -> State:
        if state is None:
            return missing(state) if missing else None
        found = state.fields
        return effect(state) if all(found.get(k) == v for k, v in fields.items()) else state

    return narrowed
