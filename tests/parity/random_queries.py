"""Random universal queries: trees of prefetches with a random scoring at each node, groups, facets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.parity.asks import Rule
from tests.parity.query_worlds import COUNT, INDEXES, TEAMS, World
from tests.service.translate.random_filters import is_contested, random_filter

UNIQUE_FIELDS = ("rank", "price", "day")
"""No two points have the same value of these."""

_DEPTH = 3
_ORIGIN = {"lat": 20.0, "lon": 10.0}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A request below the collection, and what its answers must have in common."""

    path: str
    body: dict[str, Any]
    rule: Rule


def draw(rng: Random, world: World) -> Drawn:
    """Return a random read."""
    chance = rng.random()
    if chance < 0.04:
        return _facet(rng, world)
    if chance < 0.10:
        return _groups(rng, world)
    body = _Query(rng, world).root()
    return Drawn("points/query", body, _rule(body))


def _rule(body: dict[str, Any]) -> Rule:
    match body.get("query"):
        case None:
            return Rule.EXACT
        case {"order_by": _}:
            return Rule.ORDERED
        case {"sample": _}:
            return Rule.SET if body["limit"] >= COUNT else Rule.SIZE
        case _:
            return Rule.RANKED


def _facet(rng: Random, world: World) -> Drawn:
    body: dict[str, Any] = {"key": rng.choice(("rank", "team", "teams", "level", "several"))}
    body["limit"] = rng.choice((3, 10, 1000))
    body["exact"] = True
    if rng.random() < 0.6:
        body["filter"] = _Query(rng, world).filter()
    return Drawn("facet", body, Rule.EXACT)


def _groups(rng: Random, world: World) -> Drawn:
    body = _Query(rng, world).root(kinds=("nearest", "recommend", "discover", "rrf", "formula"))
    body.pop("offset", None)
    body |= {
        "group_by": rng.choice(("team", "teams", "level", "rank", "s", "a[].n")),
        "group_size": rng.randint(1, 4),
        "limit": rng.randint(1, 6),
    }
    if rng.random() < 0.3:
        lookup = {"collection": world.aside.name, "with_payload": ["rank"]}
        body["with_lookup"] = rng.choice((world.aside.name, lookup))
    return Drawn("points/query/groups", body, Rule.GROUPS)


class _Query:
    """One query; what its parts share is the vector that most of them are about."""

    def __init__(self, rng: Random, world: World) -> None:
        self.rng = rng
        self._world = world

    def root(self, kinds: Sequence[str] = ()) -> dict[str, Any]:
        body = self._node(_DEPTH if self.rng.random() < 0.65 else 0, kinds or _ROOTS)
        rng = self.rng
        body.setdefault("limit", 10)
        if _rule(body) is Rule.ORDERED and rng.random() < 0.3:
            # Below the root their ties would make the outcome free.
            order = {
                "key": rng.choice(("level", "several")),
                "direction": rng.choice(("asc", "desc")),
            }
            body["query"] = {"order_by": order}
        if rng.random() < 0.2 and body.get("query") != {"sample": "random"}:
            body["offset"] = rng.randint(0, 8)
        if rng.random() < 0.3:
            body["with_payload"] = self._payload_selector()
        if rng.random() < 0.2:
            names = [name for name in self._world.kinds if name]
            several = rng.sample(names, rng.randint(0, len(names))) if names else True
            body["with_vector"] = rng.choice((True, False, several))
        return body

    def _payload_selector(self) -> Any:
        keys = ["rank", "team", "a[].n", "b", "g", "place.lat", "teams[]", "nowhere"]
        some = self.rng.sample(keys, self.rng.randint(1, 3))
        return self.rng.choice((True, False, some, {"include": some}, {"exclude": some}))

    def _node(self, depth: int, kinds: Sequence[str]) -> dict[str, Any]:
        rng = self.rng
        branches: list[dict[str, Any]] = []
        if depth and rng.random() < (0.85 if depth == _DEPTH else 0.35):
            count = rng.choice((1, 1, 2, 2, 3))
            branches = [self._node(depth - 1, _INNER) for _ in range(count)]
            kinds = [kind for kind in kinds if kind not in {"scroll", "sample"}]
        else:
            kinds = [kind for kind in kinds if kind not in {"rrf", "dbsf", "formula"}]
        kind = rng.choice(kinds or ["nearest"])
        node: dict[str, Any] = {"limit": rng.choice((1, 2, 3, 5, 8, 10, 13, 20, 30, COUNT + 6))}
        if branches:
            only = branches[0] if len(branches) == 1 and rng.random() < 0.5 else None
            node["prefetch"] = only or branches
        scoring = _SCORINGS[kind](self, node, len(branches))
        if scoring is not None:
            node["query"] = scoring
        if rng.random() < 0.35:
            node["filter"] = self.filter()
        if rng.random() < 0.1:
            node.setdefault("params", {})
            node["params"] |= rng.choice(({"exact": True}, {"hnsw_ef": 64}, {"exact": False}))
        return node

    def filter(self) -> dict[str, Any]:
        """Return a filter that the engine answers always the same way."""
        rng, names = self.rng, [name for name in self._world.kinds if name] or [""]
        if rng.random() < 0.4:
            made = random_filter(rng, self._world.ids, names)
            if not is_contested(made, self._world.indexes):
                return made
        clause = rng.choice(("must", "must", "should", "must_not"))
        made = {clause: [self._condition() for _ in range(rng.randint(1, 2))]}
        if rng.random() < 0.2:
            made["should"] = [self._condition(), self._condition()]
        if rng.random() < 0.08:
            conditions = [self._condition() for _ in range(3)]
            made["min_should"] = {"conditions": conditions, "min_count": rng.randint(1, 2)}
        return made

    def _condition(self) -> dict[str, Any]:
        rng = self.rng
        names = [name for name in self._world.kinds if name]
        conditions: list[dict[str, Any]] = [
            {"key": "rank", "range": {rng.choice(("gt", "lte")): rng.randrange(200)}},
            {"key": "price", "range": {rng.choice(("gte", "lt")): rng.randrange(28)}},
            {"key": "team", "match": {"any": rng.sample(TEAMS, 2)}},
            {"key": "teams", "match": {"value": rng.choice(TEAMS)}},
            {"key": "level", "match": {"except": [rng.randrange(5)]}},
            {"has_id": rng.sample(self._world.ids, 20)},
            {"is_empty": {"key": "price"}},
            {"key": "place", "geo_radius": {"center": _ORIGIN, "radius": 6e6}},
        ]
        if names:
            conditions.append({"has_vector": rng.choice(names)})
        return rng.choice(conditions)

    def about_vector(self, node: dict[str, Any], *, is_diverse: bool = False) -> str:
        """Choose the vector that a node scores by, and maybe another collection to look ids up in."""
        rng, kinds = self.rng, self._world.kinds
        using = rng.choice([name for name in kinds if kinds[name].can_be_diverse or not is_diverse])
        if using:
            node["using"] = using
        if rng.random() < 0.15:
            same = [name for name in kinds if kinds[name].group == kinds[using].group]
            node["lookup_from"] = {"collection": self._world.aside.name}
            if using and rng.random() < 0.5:
                node["lookup_from"]["vector"] = rng.choice(same)
        if rng.random() < 0.15:
            node["score_threshold"] = self._threshold(using)
        if using == "idf" and rng.random() < 0.3:
            node["params"] = {"idf": {"corpus": {"must": [self._condition()]}}}
        return using

    def _threshold(self, using: str) -> float:
        rng, distance = self.rng, self._world.kinds[using].distance
        if using == "byte":
            return round(rng.uniform(100, 800), 3) if distance != "Cosine" else 0.7123
        widest = {"Cosine": 1.0, "Dot": 3.0, "Euclid": 5.0, "Manhattan": 10.0}[distance]
        return round(rng.uniform(-0.3 * widest, widest), 3)

    def example(self, using: str) -> Any:
        """Return a vector, or the id of a point that has one mostly."""
        rng = self.rng
        if rng.random() < 0.4:
            has = [
                point["id"]
                for point, other in zip(
                    self._world.main.points, self._world.aside.points, strict=True
                )
                if not using
                or {using, *self._of_group(using)}
                <= point["vector"].keys() & other["vector"].keys()
            ]
            if has:
                return rng.choice(has)
        return self._world.kinds[using].draw(rng)

    def _of_group(self, using: str) -> set[str]:
        kinds = self._world.kinds
        return {name for name in kinds if kinds[name].group == kinds[using].group}

    def examples(self, using: str, least: int, most: int) -> list[Any]:
        """Return several examples."""
        return [self.example(using) for _ in range(self.rng.randint(least, most))]

    def pairs(self, using: str, least: int) -> list[dict[str, Any]]:
        """Return the pairs of a context."""
        return [
            {"positive": self.example(using), "negative": self.example(using)}
            for _ in range(self.rng.randint(least, 3))
        ]

    def expression(self, branches: int, depth: int = 2) -> Any:
        """Return a formula that is finite for every point."""
        rng = self.rng
        if depth == 0 or rng.random() < 0.25:
            terms = (
                *(round(rng.uniform(-2, 2), 2), "$score", "rank", "price", self._condition()),
                f"$score[{rng.randrange(branches)}]",
                {"mult": [0.05, "rank"]},
            )
            return rng.choice(terms)

        def inner() -> Any:
            return self.expression(branches, depth - 1)

        target = {"scale": rng.choice((0.5, 3, 40)), "target": rng.randint(-2, 9), "midpoint": 0.4}
        made: tuple[Callable[[], Any], ...] = (
            lambda: {"sum": [inner() for _ in range(rng.randint(1, 3))]},
            lambda: {"sum": ["$score", inner()]},
            lambda: {"mult": [inner() for _ in range(rng.randint(1, 3))]},
            lambda: {rng.choice(("min", "max")): [inner(), inner()]},
            lambda: {"neg": inner()},
            lambda: {"abs": inner()},
            lambda: {"sqrt": {"abs": inner()}},
            lambda: {"div": {"left": inner(), "right": round(rng.uniform(1, 4), 2)}},
            lambda: {"exp": {"neg": {"abs": inner()}}},
            lambda: {"ln": {"sum": [1.5, {"abs": inner()}]}},
            lambda: {"log10": {"sum": [1.5, {"abs": inner()}]}},
            lambda: {"pow": {"base": {"abs": inner()}, "exponent": 0.5}},
            lambda: {rng.choice(_DECAYS): {"x": inner(), **target}},
            lambda: {
                rng.choice(_DECAYS): {
                    "x": {"geo_distance": {"origin": _ORIGIN, "to": "place"}},
                    "scale": 4e6,
                }
            },
            lambda: {
                rng.choice(_DECAYS): {
                    "x": {"datetime_key": "day"},
                    "target": {"datetime": "2023-09-01T00:00:00Z"},
                    "scale": 4e6,
                }
            },
        )
        return rng.choice(made)()


_DECAYS = ("lin_decay", "exp_decay", "gauss_decay")


def _nearest(of: _Query, node: dict[str, Any], _branches: int) -> Any:
    wanted = of.example(of.about_vector(node))
    # Only a node that says what it is has an option for it.
    return wanted if of.rng.random() < 0.7 else {"nearest": wanted}


def _recommend(of: _Query, node: dict[str, Any], _branches: int) -> Any:
    rng, using = of.rng, of.about_vector(node)
    strategy = rng.choice(("average_vector", "best_score", "sum_scores", None))
    least = 1 if strategy in {"average_vector", None} else rng.randint(0, 1)
    wanted: dict[str, Any] = {
        "positive": of.examples(using, least, 3),
        "negative": of.examples(using, 1 - least, 2),
    }
    if strategy:
        wanted["strategy"] = strategy
    return {"recommend": wanted}


def _discover(of: _Query, node: dict[str, Any], _branches: int) -> Any:
    using = of.about_vector(node)
    return {"discover": {"target": of.example(using), "context": of.pairs(using, 0)}}


def _context(of: _Query, node: dict[str, Any], _branches: int) -> Any:
    using = of.about_vector(node)
    return {"context": of.pairs(using, 1)}


def _feedback(of: _Query, node: dict[str, Any], _branches: int) -> Any:
    rng, using = of.rng, of.about_vector(node)
    judged = [
        {"example": example, "score": round(rng.uniform(-1, 1), 2)}
        for example in of.examples(using, 1, 3)
    ]
    naive = {name: round(rng.uniform(0.1, 1.5), 2) for name in "abc"}
    strategy = {"naive": naive}
    wanted = {"target": of.example(using), "feedback": judged, "strategy": strategy}
    return {"relevance_feedback": wanted}


def _mmr(of: _Query, node: dict[str, Any], _branches: int) -> Any:
    rng, using = of.rng, of.about_vector(node, is_diverse=True)
    mmr = {
        "diversity": round(rng.random(), 2),
        "candidates_limit": rng.choice((3, 10, 20, COUNT + 6)),
    }
    return {"nearest": of.example(using), "mmr": mmr}


def _order_by(of: _Query, _node: dict[str, Any], _branches: int) -> Any:
    rng = of.rng
    key = rng.choice(UNIQUE_FIELDS)
    made: dict[str, Any] = {"key": key}
    if rng.random() < 0.5:
        made["direction"] = rng.choice(("asc", "desc"))
    if rng.random() < 0.3:
        made["start_from"] = "2023-09-01T00:00:00Z" if key == "day" else rng.randrange(30)
    return {"order_by": key if len(made) == 1 else made}


def _sample(of: _Query, node: dict[str, Any], _branches: int) -> Any:
    # All of the points or so many of them that only their number is compared.
    node["limit"] = of.rng.choice((3, COUNT + 6))
    return {"sample": "random"}


def _scroll(_of: _Query, _node: dict[str, Any], _branches: int) -> Any:
    return None


def _rrf(of: _Query, node: dict[str, Any], branches: int) -> Any:
    rng = of.rng
    _fusion_threshold(rng, node)
    if rng.random() < 0.4:
        return {"fusion": "rrf"}
    wanted: dict[str, Any] = {}
    if rng.random() < 0.6:
        wanted["k"] = rng.choice((1, 2, 7, 60))
    if rng.random() < 0.6:
        wanted["weights"] = [rng.choice((0.0, 0.37, 1.0, 2.9)) for _ in range(branches)]
    return {"rrf": wanted}


def _dbsf(of: _Query, node: dict[str, Any], _branches: int) -> Any:
    _fusion_threshold(of.rng, node)
    return {"fusion": "dbsf"}


def _fusion_threshold(rng: Random, node: dict[str, Any]) -> None:
    if rng.random() < 0.1:
        node["score_threshold"] = round(rng.uniform(0, 0.8), 4)


def _formula(of: _Query, node: dict[str, Any], branches: int) -> Any:
    if of.rng.random() < 0.1:
        node["score_threshold"] = round(of.rng.uniform(-1, 2), 4)
    defaults = {"price": 1.25, "day": "2023-08-01T00:00:00Z"}
    return {"formula": of.expression(branches), "defaults": defaults}


_SCORINGS: dict[str, Callable[[_Query, dict[str, Any], int], Any]] = {
    "nearest": _nearest,
    "recommend": _recommend,
    "discover": _discover,
    "context": _context,
    "feedback": _feedback,
    "mmr": _mmr,
    "order_by": _order_by,
    "sample": _sample,
    "scroll": _scroll,
    "rrf": _rrf,
    "dbsf": _dbsf,
    "formula": _formula,
}
_ROOTS = (
    *["nearest", "recommend", "discover"] * 2,
    *["rrf", "dbsf", "formula"] * 3,
    *("context", "feedback", "mmr", "order_by", "sample", "scroll"),
)
_INNER = (
    *["nearest"] * 4,
    *["recommend", "rrf", "dbsf", "formula"] * 2,
    *("discover", "context", "feedback", "mmr", "order_by", "scroll"),
)

assert set(UNIQUE_FIELDS) <= INDEXES.keys()
