"""Which store answers a request: pure decisions on the call and the collection's state."""

from enum import Enum, auto

from service.control.ramp import collection_moves, tenant_moves
from service.control.state import CollectionState, View
from service.proxy.calls import Call, Kind
from service.stages import Side, Stage


class Route(Enum):
    """How a request is answered."""

    PASS = auto()
    """The source's bytes."""
    PASS_AND_COMPARE = auto()
    """The source's bytes, and a sampled search also on the target afterwards."""
    TARGET = auto()
    """The target, which is right."""
    TARGET_IF_CURRENT = auto()
    """The target if it lacks no answered write, else the source, which is right."""
    MIRROR_FROM_SOURCE = auto()
    """A change of points: intent, source, answer, resync."""
    REFUSE = auto()
    """Something that would change a mirrored collection around the mirror."""


def route(call: Call, state: CollectionState, view: View, tenant: str | None) -> Route:
    """Decide how a request to one collection is answered."""
    if state.authority is Side.TARGET:
        return Route.TARGET
    match call.kind:
        case Kind.WRITE if state.is_mirrored:
            return Route.MIRROR_FROM_SOURCE
        case Kind.REPLACE if state.is_mirrored:
            return Route.REFUSE
        case Kind.SEARCH | Kind.READ if view.is_detached:
            return Route.PASS
        case Kind.SEARCH | Kind.READ if state.stage is Stage.RAMP and _moves(state, view, tenant):
            return Route.TARGET_IF_CURRENT
        case Kind.SEARCH if state.stage in {Stage.SHADOW, Stage.RAMP}:
            return Route.PASS_AND_COMPARE
        case _:
            return Route.PASS


def _moves(state: CollectionState, view: View, tenant: str | None) -> bool:
    if tenant is not None:
        return tenant_moves(tenant, state.percent)
    ramping = (other.name for other in view.states.values() if other.stage is Stage.RAMP)
    return collection_moves(state.name, state.percent, ramping)
