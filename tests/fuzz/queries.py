"""Queries that fit a collection of the world: its vectors, its fields, its points."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tests.fuzz.world import IDS, INDEXES, PLAIN, VALUES, VECTOR_NAMES
from tests.service.translate.random_filters import is_contested, random_filter

SORTED = {"n": 2, "p": 0.5, "t": "2024-01-03T00:00:00Z"}
"""Fields that can be sorted by, and a value to start from."""
PAYLOAD_SELECTORS: list[Any] = [
    *(True, False, ["k", "a[].n"], [], {"include": ["n", "l[0].p"]}, {"exclude": ["b", "x"]})
]


def dense(dice: Random) -> list[float]:
    """Return a vector of the size that all vectors of the world have."""
    return [round(dice.uniform(-2, 2), 2) for _ in range(3)]


def rows(dice: Random) -> list[list[float]]:
    """Return a multivector."""
    return [dense(dice) for _ in range(dice.randint(1, 3))]


def sparse(dice: Random) -> dict[str, Any]:
    """Return a sparse vector."""
    return {"indices": dice.sample(range(8), 3), "values": dense(dice)}


_DRAWN: Mapping[str, Callable[[Random], Any]] = {
    "": dense,
    "a": dense,
    "h": dense,
    "m": rows,
    "s": sparse,
}


def vector(using: str, dice: Random) -> Any:
    """Return a vector that fits this name."""
    return _DRAWN[using](dice)


def names(collection: str) -> list[str]:
    """Return the names of a collection's vectors."""
    return [""] if collection == PLAIN else VECTOR_NAMES


def right_filter(dice: Random, collection: str) -> dict[str, Any]:
    """Return a filter that Qdrant answers always the same way."""
    while True:
        made = random_filter(dice, IDS, names(collection))
        if not is_contested(made, INDEXES):
            return made


def query(dice: Random, collection: str, depth: int = 2) -> dict[str, Any]:
    """Return a node of a universal query, with up to ``depth`` levels of prefetches below."""
    node: dict[str, Any] = {"limit": dice.choice((1, 2, 3, 10))}
    using = dice.choice(names(collection))
    if using:
        node["using"] = using
    if depth and dice.random() < 0.4:
        below = [query(dice, collection, depth - 1) for _ in range(dice.randint(1, 3))]
        node["prefetch"] = below
        node["query"] = dice.choice((*_MERGING, _nearest))(dice, using, len(below))
    elif dice.random() < 0.9:
        node["query"] = dice.choice(_SCORING)(dice, using, 0)
    if dice.random() < 0.4:
        node["filter"] = right_filter(dice, collection)
    if dice.random() < 0.2 and "query" in node:
        node["score_threshold"] = round(dice.uniform(-1, 1), 2)
    if dice.random() < 0.2:
        node["params"] = dice.choice(
            ({"exact": True}, {"hnsw_ef": 8}, {"quantization": {"rescore": True}})
        )
    return node


def example(dice: Random, using: str) -> Any:
    """Return a vector, or the id of a point that has one of every name."""
    return dice.choice(_WHOLE) if dice.random() < 0.4 else vector(using, dice)


_WHOLE = [known for at, known in enumerate(IDS) if at != 3]


def _examples(dice: Random, using: str, least: int) -> list[Any]:
    return [example(dice, using) for _ in range(dice.randint(least, 3))]


def pairs(dice: Random, using: str) -> list[dict[str, Any]]:
    """Return a context."""
    return [
        {"positive": example(dice, using), "negative": example(dice, using)}
        for _ in range(dice.randint(1, 2))
    ]


def recommendation(dice: Random, using: str) -> dict[str, Any]:
    """Return examples and how to make use of them."""
    made: dict[str, Any] = {"positive": _examples(dice, using, 1)}
    if dice.random() < 0.5:
        made["negative"] = _examples(dice, using, 0)
    if dice.random() < 0.5:
        made["strategy"] = dice.choice(("average_vector", "best_score", "sum_scores"))
    return made


def _nearest(dice: Random, using: str, _branches: int) -> Any:
    wanted = example(dice, using)
    return wanted if dice.random() < 0.5 else {"nearest": wanted}


def _recommend(dice: Random, using: str, _branches: int) -> Any:
    return {"recommend": recommendation(dice, using)}


def _discover(dice: Random, using: str, _branches: int) -> Any:
    return {"discover": {"target": example(dice, using), "context": pairs(dice, using)}}


def _context(dice: Random, using: str, _branches: int) -> Any:
    return {"context": pairs(dice, using)}


def _feedback(dice: Random, using: str, _branches: int) -> Any:
    judged = [{"example": each, "score": dice.random()} for each in _examples(dice, using, 1)]
    strategy = {"naive": {"a": 0.5, "b": 0.3, "c": 0.2}}
    wanted = {"target": example(dice, using), "feedback": judged, "strategy": strategy}
    return {"relevance_feedback": wanted}


def _mmr(dice: Random, using: str, branches: int) -> Any:
    if using == "s":
        return _nearest(dice, using, branches)
    mmr = {"diversity": 0.3, "candidates_limit": dice.choice((2, 10))}
    return {"nearest": example(dice, using), "mmr": mmr}


def order_by(dice: Random) -> Any:
    """Return a field to sort by."""
    key = dice.choice([*SORTED])
    made: dict[str, Any] = {"key": key}
    if dice.random() < 0.5:
        made["direction"] = dice.choice(("asc", "desc"))
    if dice.random() < 0.3:
        made["start_from"] = SORTED[key]
    return key if len(made) == 1 else made


def _order_by(dice: Random, _using: str, _branches: int) -> Any:
    return {"order_by": order_by(dice)}


def _sample(_dice: Random, _using: str, _branches: int) -> Any:
    return {"sample": "random"}


def _fusion(dice: Random, _using: str, branches: int) -> Any:
    weights = [dice.random() for _ in range(branches)]
    made = ({"fusion": "rrf"}, {"fusion": "dbsf"}, {"rrf": {"k": 2}}, {"rrf": {"weights": weights}})
    return dice.choice(made)


def _formula(dice: Random, _using: str, branches: int) -> Any:
    return {
        "formula": _expression(dice, branches, 2),
        "defaults": {"p": 1.25, "n": 1, "t": SORTED["t"]},
    }


def _expression(dice: Random, branches: int, depth: int) -> Any:
    """Return an expression that is finite for every point."""
    if not depth or dice.random() < 0.3:
        condition = {"key": "k", "match": {"value": dice.choice(VALUES[:4])}}
        at = dice.randrange(branches)
        return dice.choice((0.5, 2, "$score", f"$score[{at}]", "n", "p", condition))
    inner = [_expression(dice, branches, depth - 1) for _ in range(dice.randint(1, 2))]
    origin = {"origin": {"lat": 50.0, "lon": 1.0}, "to": "g"}
    return dice.choice(
        (
            {"sum": inner},
            {"mult": inner},
            {"max": inner},
            {"neg": inner[0]},
            {"sqrt": {"abs": inner[0]}},
            {"div": {"left": inner[0], "right": 2.0}},
            {"exp_decay": {"x": {"datetime_key": "t"}, "target": {"datetime": SORTED["t"]}}},
            {"lin_decay": {"x": {"geo_distance": origin}, "scale": 1e6}},
            {"gauss_decay": {"x": inner[0], "midpoint": 0.4}},
        )
    )


_SCORING = (
    _nearest,
    _nearest,
    _recommend,
    _discover,
    _context,
    _feedback,
    _mmr,
    _order_by,
    _sample,
)
_MERGING = (_fusion, _fusion, _formula, _formula)

assert SORTED.keys() <= INDEXES.keys()
