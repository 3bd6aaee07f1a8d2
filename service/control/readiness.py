"""Whether a load balancer should send requests to this instance: a pure question on what it knows."""

from service.control.plane import ControlPlane
from service.control.state import Basis


def not_ready(plane: ControlPlane) -> dict[str, str | None]:
    """Return for every part that is needed now what is wrong with it.

    While Qdrant is right an instance without Postgres still serves: taking all of them out of a load balancer at once
    would make an outage of what is none.
    """
    view = plane.view
    if not view.is_known:
        return {"postgres": "was not reached since the start: writes are refused"}
    if plane.is_attached and not view.is_detached:
        return {}
    if view.needs_target:
        return {"postgres": "cannot be reached, and answers for some collections"}
    if view.basis is Basis.UNMARKED:
        return {"qdrant": "takes no mark of this instance: mirrored writes are refused"}
    return {}
