"""Which requests an instance may answer that lacks Postgres (R6) or the aliases (R10): pure rules on call and view."""

from typing import assert_never

from service.control.state import Basis, CollectionState, View
from service.proxy.calls import Call, Kind
from service.stages import Side

_NEVER = "this instance has not reached Postgres yet and does not know which writes are mirrored"
_UNNAMED = (
    "Qdrant does not tell its aliases at the moment; this name may stand for a mirrored collection"
)
_AWAY = "Postgres cannot be reached, and it is needed for"


def refusal(call: Call, view: View) -> str | None:
    """Return why a request cannot be decided under a view, ``None`` when it can."""
    if not view.is_detached:
        return _UNNAMED if _may_be_a_new_alias(call, view) else None
    if not view.is_known and not call.may_repeat:
        return _NEVER
    match call.kind:
        case Kind.SERVICE:
            return None
        case Kind.LIST:
            return f"{_AWAY} the list of collections" if view.needs_target else None
        case Kind.ALIASES:
            is_moving = any(state.is_mirrored for state in view.states.values())
            return f"{_AWAY} aliases" if is_moving or view.needs_target else None
        case _:
            return _of_collection(call.kind, view.state(view.physical(call.collection)), view.basis)


def _may_be_a_new_alias(call: Call, view: View) -> bool:
    changes_points = call.kind in {Kind.WRITE, Kind.REPLACE, Kind.INDEX, Kind.VECTOR}
    return changes_points and not view.has_all_aliases and not view.is_named(call.collection)


def _of_collection(kind: Kind, state: CollectionState, basis: Basis) -> str | None:
    if state.authority is Side.TARGET:
        return f"{_AWAY} collection `{state.name}`"
    if not state.is_mirrored:
        return None
    if basis is Basis.UNMARKED:
        return f"{_AWAY} collection `{state.name}`: the source takes no mark of this instance"
    match kind:
        case Kind.SEARCH | Kind.READ | Kind.STORAGE:
            return None
        case Kind.WRITE if state.generation is not None:
            return None
        case Kind.WRITE:
            return f"{_AWAY} the first write to collection `{state.name}`"
        case Kind.CREATE | Kind.UPDATE | Kind.DROP | Kind.INDEX | Kind.VECTOR | Kind.REPLACE:
            return f"{_AWAY} changes of the whole collection `{state.name}`"
        case Kind.LIST | Kind.ALIASES | Kind.SERVICE:
            return None
        case _:
            assert_never(kind)
