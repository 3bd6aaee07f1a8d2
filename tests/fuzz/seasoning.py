"""Values in a drawn body are replaced by ones that mean something, at the places that their fields' names say."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.fuzz.queries import dense, rows, sparse
from tests.fuzz.world import IDS, OTHER_IDS, PATHS, PLAIN, VECTOR_NAMES, WORDS

_SEASONED, _SHARDED = 0.9, 0.03
_ANY_ID = [*IDS, *OTHER_IDS]
_NOT_A_NAME = frozenset({"indices", "values", "name", "vector", "model", "text", "image", "object"})


def seasoned_body(body: Any, dice: random.Random) -> Any:
    """Return the body with most of its words replaced."""
    return _seasoned(body, "", dice)


def completed(operation: str, collection: str, body: Any, dice: random.Random) -> Any:
    """Return the body with what an operation on this collection cannot do without."""
    if not isinstance(body, dict) or dice.random() > _SEASONED:
        return body
    if isinstance(body.get("searches"), list):
        single = operation.replace("_batch", "")
        searches = [completed(single, collection, each, dice) for each in body["searches"]]
        return {"searches": searches}
    is_plain = collection == PLAIN
    return {
        **body,
        **_lacking(operation, body, dice),
        **_fitting(operation, dice, is_plain=is_plain),
    }


def _lacking(operation: str, body: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    lacking: dict[str, Any] = {}
    if operation in _SELECTING and not body.get("points") and not body.get("filter"):
        lacking["points"] = dice.sample(IDS[:4], 2)
    if operation in {"search_points", "recommend_points", "discover_points"}:
        lacking["limit"] = 3
    if operation.startswith("recommend") and not body.get("positive"):
        lacking["positive"] = [dense(dice), dice.choice(_ANY_ID)]
    if operation.startswith("discover") and not body.get("target"):
        lacking["target"] = dense(dice)
    if operation == "delete_vectors":
        lacking["vector"] = dice.sample(VECTOR_NAMES, 2)
    return lacking


def _fitting(operation: str, dice: random.Random, *, is_plain: bool) -> dict[str, Any]:
    """Return vectors of the collection's own kind."""
    if operation.startswith("search_point"):
        return {"vector": dense(dice) if is_plain else {"name": "a", "vector": dense(dice)}}
    if operation in {"upsert_points", "update_vectors"}:
        made = dense if is_plain else _vectors
        points = [{"id": dice.choice(IDS[:6]), "vector": made(dice)} for _ in range(2)]
        return {"points": points} if dice.random() < _SEASONED else {}
    if operation.startswith(_SEARCHING):
        return {"using": None if is_plain else dice.choice(["a", "h", "m"])}
    return {}


_SEARCHING = ("query", "recommend", "discover", "search_matrix")
_SELECTING = frozenset(
    {
        *("delete_points", "delete_vectors", "set_payload", "overwrite_payload"),
        *("delete_payload", "clear_payload"),
    }
)


def _vectors(dice: random.Random) -> dict[str, Any]:
    everything: dict[str, Any] = {
        "a": dense(dice),
        "h": dense(dice),
        "m": rows(dice),
        "s": sparse(dice),
    }
    return {name: everything[name] for name in dice.sample(VECTOR_NAMES, 2)}


def _ring(dice: random.Random) -> list[dict[str, float]]:
    corners = [{"lon": dice.uniform(-9, 9), "lat": dice.uniform(45, 55)} for _ in range(4)]
    return [*corners, corners[0]]


def _ids(dice: random.Random) -> list[Any]:
    return [dice.choice(_ANY_ID) for _ in range(dice.randrange(4))]


def _examples(dice: random.Random) -> list[Any]:
    return [dice.choice([dense(dice), sparse(dice), *_ANY_ID]) for _ in range(dice.randrange(3))]


_MADE: Mapping[str, Callable[[random.Random], Any]] = {
    "ids": _ids,
    "has_id": _ids,
    "positive": _examples,
    "negative": _examples,
    "vector": lambda dice: dice.choice([dense(dice), _vectors(dice)]),
    "target": dense,
    "nearest": lambda dice: dice.choice([dense(dice), sparse(dice), dice.choice(_ANY_ID)]),
    "indices": lambda dice: dice.sample(range(8), 3),
    "values": dense,
    "lon": lambda dice: round(dice.uniform(-180, 180), 1),
    "lat": lambda dice: round(dice.uniform(-90, 90), 1),
    "keys": lambda dice: dice.sample(PATHS, 2),
    "query": lambda dice: dice.choice([dense(dice), sparse(dice), dice.choice(_ANY_ID)]),
}
"""How a value of a field is made anew."""
_SOMETIMES = frozenset({"query", "vector", "target", "nearest", "positive", "negative"})
"""Fields whose drawn value is also worth a try."""


def _seasoned(value: Any, name: str, dice: random.Random) -> Any:
    chance = 0.5 if name in _SOMETIMES else _SEASONED
    is_made = value is not None and name in _MADE and not isinstance(value, bool)
    if is_made and dice.random() < chance:
        return _MADE[name](dice)
    if isinstance(value, str | int | float | bool) and name in WORDS:
        return dice.choice(WORDS[name]) if dice.random() < _SEASONED else value
    match value:
        case dict():
            return {
                _key(key, name, dice): _seasoned(item, str(key), dice)
                for key, item in value.items()
                if key != "shard_key" or dice.random() < _SHARDED
            }
        case list() if name == "points" and value and isinstance(value[0], int | str):
            return _ids(dice)
        case list() if name == "points" and value and "lat" in value[0]:
            return _ring(dice) if dice.random() < _SEASONED else value
        case [int() | float(), *_] if dice.random() < _SEASONED:
            return dense(dice)
        case list():
            return [_seasoned(item, name, dice) for item in value[:6]]
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case _:
            return value


def _key(key: Any, inside: str, dice: random.Random) -> Any:
    """Name vectors as the collection does; all other keys stay."""
    if inside in {"vector", "vectors"} and key not in _NOT_A_NAME:
        return dice.choice(VECTOR_NAMES)
    return key
