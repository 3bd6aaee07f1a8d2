"""Other collections that a read looks into (``lookup_from``, ``with_lookup``): they must be right in the same store.

A store answers about a collection that it is not right for with what it has: nothing, or what was there before. So a
read that spans both is refused, naming the place in the request.
"""

from collections.abc import Iterator

import orjson

from service.control.state import CollectionState, View
from service.errors import Unsupported
from service.proxy.calls import Call, Kind
from service.stages import Stage, authority

_KEYS = frozenset({"lookup_from", "with_lookup"})
_READERS = ("points/query", "points/search", "points/recommend", "points/discover")


def may_look_elsewhere(call: Call, view: View) -> bool:
    """Say whether a request could look into a collection that not the same stores may answer."""
    if call.kind not in {Kind.SEARCH, Kind.READ} or not call.suffix.startswith(_READERS):
        return False
    return Stage.RAMP in view.stages or len({authority(stage) for stage in view.stages}) > 1


def others(body: bytes, state: CollectionState, view: View) -> dict[str, CollectionState]:
    """Return the other collections that the body looks into, by the place where each is named.

    What cannot be read looks nowhere: the store refuses it.
    """
    if b"lookup" not in body:
        return {}
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    named = {place: view.state(view.physical(name)) for place, name in _named(parsed, "")}
    return {place: other for place, other in named.items() if other.name != state.name}


def refuse_elsewhere(state: CollectionState, looked_into: dict[str, CollectionState]) -> None:
    """Raise ``Unsupported`` for a collection that another store is right for."""
    for place, other in looked_into.items():
        if other.authority is not state.authority:
            raise Unsupported(
                place,
                f"looks from `{state.name}`, which the {state.authority} answers, into `{other.name}`,"
                f" which the {other.authority} answers; bring both to the same side",
            )


def _named(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield every collection that is looked into, with its place."""
    match value:
        case dict():
            for key, inner in value.items():
                where = f"{place}.{key}" if place else key
                if key in _KEYS:
                    yield from _collection(inner, where)
                else:
                    yield from _named(inner, where)
        case list():
            for number, inner in enumerate(value):
                if isinstance(inner, dict | list):
                    yield from _named(inner, f"{place}[{number}]")
        case _:
            return


def _collection(value: object, place: str) -> Iterator[tuple[str, str]]:
    name = value.get("collection") if isinstance(value, dict) else value
    if isinstance(name, str):
        yield place, name
