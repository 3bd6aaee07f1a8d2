"""Query trees on Postgres and on Qdrant's engine: the same points with the same scores."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from service.errors import WrongInput
from service.model.operations import CreateIndex, Upsert
from service.model.points import Hit, Point, SparseVector
from service.model.qdrant import CreateCollection, QueryRequest
from service.ports import VectorStore
from service.stores.edge.store import EdgeStore
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore

SIZE = 4
POINTS = 60
NAME = "shared"
DISTANCES = {"dot": "Dot", "cos": "Cosine", "euclid": "Euclid", "city": "Manhattan"}


def _collection() -> CreateCollection:
    multi = {"multivector_config": {"comparator": "max_sim"}}
    dense: dict[str, Any] = {
        name: {"size": SIZE, "distance": distance} for name, distance in DISTANCES.items()
    }
    dense["rows"] = {"size": SIZE, "distance": "Dot", **multi}
    return CreateCollection.model_validate({"vectors": dense, "sparse_vectors": {"terms": {}}})


def _points(random: np.random.Generator) -> list[Point]:
    return [_point(number, random) for number in range(1, POINTS + 1)]


def _point(number: int, random: np.random.Generator) -> Point:
    vectors: dict[str, Any] = {
        name: random.normal(size=SIZE).astype(np.float32) for name in DISTANCES
    }
    vectors["rows"] = random.normal(size=(3, SIZE)).astype(np.float32)
    indices = np.sort(random.choice(8, 3, replace=False)).astype(np.uint32)
    vectors["terms"] = SparseVector(indices, random.normal(size=3).astype(np.float32))
    if number % 10 == 0:
        del vectors["city"]
    payload = {
        "n": int(random.integers(0, 10)),
        "f": round(float(random.normal()), 6),
        "kind": "xyz"[number % 3],
        "day": f"2024-01-{number % 28 + 1:02d}",
        "at": {"lat": float(number), "lon": -2.5 * number},
        "list": [number % 4, number % 5],
    }
    return Point(number, vectors, payload)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stores(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[EdgeStore, PgStore]]:
    """Both stores with the same collection."""
    points = Upsert(tuple(_points(np.random.default_rng(11))))
    database = await Database.open(module_database_url)
    postgres = PgStore(database)
    async with EdgeStore(tmp_path_factory.mktemp("engine"), processes=1) as engine:
        store: VectorStore
        for store in (engine, postgres):
            await store.create_collection(NAME, _collection())
            await store.apply(NAME, points, wait=True)
            await store.apply(NAME, CreateIndex("f", "float"), wait=True)
            await store.apply(NAME, CreateIndex("list", "integer"), wait=True)
        yield engine, postgres
    await postgres.delete_collection(NAME)
    await database.close()


def _vectors(seed: int) -> Callable[[], list[float]]:
    random = np.random.default_rng(seed)
    return lambda: [float(value) for value in random.normal(size=SIZE)]


V = _vectors(3)


def _leaf(using: str, limit: int = 15, **more: Any) -> dict[str, Any]:
    return {"query": V(), "using": using, "limit": limit, **more}


def _below(key: str, value: float) -> dict[str, Any]:
    return {"must": [{"key": key, "range": {"lt": value}}]}


def _any_of(*values: int) -> dict[str, Any]:
    return {"should": [{"key": "n", "match": {"value": value}} for value in values]}


def _diverse(**mmr: Any) -> dict[str, Any]:
    return {"nearest": V(), "mmr": mmr}


EXAMPLES = {"positive": [1, V()], "negative": [2]}
PAIRS = [{"positive": 3, "negative": 4}, {"positive": V(), "negative": 7}]
FORMULA = {
    "sum": [
        "$score",
        {"mult": [0.5, "$score[1]", "n"]},
        {"key": "kind", "match": {"value": "x"}},
        {
            "gauss_decay": {
                "x": {"geo_distance": {"origin": {"lat": 9.0, "lon": 2.0}, "to": "at"}},
                "scale": 1e6,
            }
        },
        {
            "exp_decay": {
                "x": {"datetime_key": "day"},
                "target": {"datetime": "2024-01-10T00:00:00Z"},
                "scale": 86400.0,
            }
        },
    ]
}
TWO = [_leaf("dot", 20), _leaf("euclid")]

CASES: dict[str, dict[str, Any]] = {
    "in_id_order": {"limit": 5, "offset": 3, "filter": _below("n", 5), "with_payload": ["f"]},
    "sparse": {"query": {"indices": [3, 1], "values": [2.0, 1.0]}, "using": "terms"},
    "sparse_id": {"query": 9, "using": "terms", "with_vector": ["terms"]},
    "sparse_average": {
        "query": {"recommend": {"positive": [1, 3], "negative": [2]}},
        "using": "terms",
    },
    "rows": {"query": [V(), V()], "using": "rows", "with_vector": ["rows"]},
    "rows_average": {
        "query": {"recommend": {"positive": [1, 3], "negative": [2]}},
        "using": "rows",
    },
    "rows_diverse": {"query": {"nearest": 5, "mmr": {"candidates_limit": 20}}, "using": "rows"},
    "reciprocal_rank": {
        "prefetch": [*TWO, {"query": 7, "using": "cos"}],
        "query": {"fusion": "rrf"},
        "limit": 8,
        "offset": 1,
        "filter": _below("n", 8),
        "with_payload": ["n", "kind"],
    },
    "weighted": {
        "prefetch": [_leaf("dot"), _leaf("cos", 20, filter=_any_of(1, 2))],
        "query": {"rrf": {"k": 5, "weights": [2.0, 0.5]}},
        "limit": 50,
        "filter": _any_of(3, 4),
        "score_threshold": 0.1,
    },
    "distribution": {
        "prefetch": [*TWO, _leaf("cos", 1)],
        "query": {"fusion": "dbsf"},
        "limit": 50,
        "score_threshold": 0.5,
    },
    "nested": {
        "prefetch": [
            {"prefetch": TWO, "query": {"fusion": "rrf"}, "limit": 50, "filter": _below("n", 9)},
            {"prefetch": TWO, "limit": 12, **_leaf("cos", 12, score_threshold=0.0)},
        ],
        "query": {"fusion": "dbsf"},
        "limit": 50,
        "filter": _below("n", 7),
    },
    "rescored": {
        "prefetch": TWO,
        **_leaf("city", 5),
        "offset": 3,
        "score_threshold": 20.0,
        "with_payload": ["n"],
        "with_vector": ["dot"],
    },
    "rescored_by_field": {"prefetch": TWO, "query": {"order_by": "f"}, "limit": 9, "offset": 1},
    "ordered": {
        "query": {"order_by": {"key": "f", "direction": "desc", "start_from": 0.3}},
        "limit": 9,
        "offset": 2,
        "with_payload": ["f"],
    },
    "fused_fields": {
        "prefetch": [{"query": {"order_by": "f"}, "limit": 20}, _leaf("dot")],
        "query": {"fusion": "rrf"},
        "limit": 50,
    },
    "fields_rank_before_scores": {
        "prefetch": [{"query": {"order_by": "f"}, "limit": 9}, _leaf("dot")],
        "query": {"fusion": "dbsf"},
        "limit": 50,
        "score_threshold": 0.45,
    },
    "formula_of_fields": {
        "prefetch": [{"query": {"order_by": "f"}, "limit": 9}],
        "query": {"formula": {"neg": "f"}},
        "score_threshold": 0.5,
    },
    "diverse_of_branches": {
        "prefetch": TWO,
        "query": _diverse(diversity=0.7, candidates_limit=12),
        "using": "cos",
        "limit": 7,
        "offset": 2,
        "with_payload": ["n"],
    },
    "diverse_leaf": {
        "prefetch": [
            {"query": _diverse(diversity=0.7, candidates_limit=12), "using": "cos", "limit": 3}
        ],
        "query": {"fusion": "rrf"},
        "limit": 50,
    },
    "diverse_node": {
        "prefetch": [
            {
                "prefetch": TWO,
                "query": _diverse(diversity=0.7, candidates_limit=12),
                "using": "cos",
                "limit": 5,
            }
        ],
        "query": {"fusion": "rrf"},
        "limit": 50,
    },
    "formula": {
        "prefetch": TWO,
        "query": {"formula": FORMULA, "defaults": {"$score": 0.1}},
        "limit": 9,
        "offset": 1,
        "score_threshold": 0.2,
        "with_payload": ["n"],
    },
    "formula_below": {
        "prefetch": [{"prefetch": TWO, "query": {"formula": {"abs": "$score"}}, "limit": 9}],
        "query": {"fusion": "dbsf"},
    },
    "nothing_left": {
        "prefetch": [_leaf("dot", filter=_below("n", -1))],
        "query": V(),
        "using": "cos",
        "with_payload": True,
    },
}


def _by_vector(using: str) -> dict[str, dict[str, Any]]:
    return {
        "nearest": {
            "query": V(),
            "offset": 2,
            "with_payload": ["kind"],
            "score_threshold": 0.4 if using in {"dot", "cos"} else 4.0,
        },
        "id": {"query": 5},
        "average": {"query": {"recommend": EXAMPLES}},
        "best": {"query": {"recommend": {**EXAMPLES, "strategy": "best_score"}}},
        "sum": {"query": {"recommend": {**EXAMPLES, "strategy": "sum_scores"}}},
        "discover": {"query": {"discover": {"target": V(), "context": PAIRS}}},
        "context": {"query": {"context": PAIRS}},
        "feedback": {
            "query": {
                "relevance_feedback": {
                    "target": V(),
                    "feedback": [{"example": 3, "score": 0.8}, {"example": 8, "score": 0.2}],
                    "strategy": {"naive": {"a": 0.5, "b": 1.0, "c": 0.3}},
                }
            }
        },
        "diverse": {
            "query": _diverse(diversity=0.6, candidates_limit=30),
            "offset": 2,
            "with_payload": ["n"],
        },
    }


CASES |= {
    f"{name}_{using}": {**body, "using": using, "limit": 7}
    for using in DISTANCES
    for name, body in _by_vector(using).items()
}

CASES["threshold_of_a_node_between"] = {
    "prefetch": [{"prefetch": TWO, **_leaf("cos", 30, score_threshold=0.3)}],
    "query": {"fusion": "rrf"},
    "limit": 50,
}


def _ranking(hits: Sequence[Hit]) -> dict[float, set[Any]]:
    """Return the ids by score, rounded: points that are alike to both come in any order."""
    ranking: dict[float, set[Any]] = {}
    for hit in hits:
        ranking.setdefault(float(f"{hit.score:.4g}"), set()).add(hit.id)
    return ranking


@pytest.mark.parametrize("case", CASES)
@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_is_the_engines(stores: tuple[EdgeStore, PgStore], case: str) -> None:
    """Ids, scores, order, and what is carried of each point."""
    engine, postgres = stores
    request = QueryRequest.model_validate(CASES[case])
    expected = await engine.query(NAME, request)
    found = await postgres.query(NAME, request)
    assert [hit.score for hit in found] == pytest.approx(
        [hit.score for hit in expected], rel=1e-5, abs=1e-6
    )
    if not case.startswith("context"):  # the cut is in the middle of many zeros
        assert _ranking(found) == _ranking(expected)
    carried = {hit.id: (hit.payload, hit.order_value) for hit in expected}
    assert all(
        (hit.payload, hit.order_value) == carried[hit.id] for hit in found if hit.id in carried
    )
    assert bool(expected) or case == "nothing_left"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_threshold_of_what_is_put_together_counts_as_reached(
    stores: tuple[EdgeStore, PgStore],
) -> None:
    """A fused score that equals it stays, as in the engine."""
    engine, postgres = stores
    body: dict[str, Any] = {"prefetch": TWO, "query": {"fusion": "rrf"}, "limit": 50}
    scores = [hit.score for hit in await engine.query(NAME, QueryRequest.model_validate(body))]
    body["score_threshold"] = scores[4]
    request = QueryRequest.model_validate(body)
    reached = [score for score in scores if score >= scores[4]]
    for store in (engine, postgres):
        assert [hit.score for hit in await store.query(NAME, request)] == reached


@pytest.mark.asyncio(loop_scope="module")
async def test_a_sample_is_as_large_as_it_can_be(stores: tuple[EdgeStore, PgStore]) -> None:
    """Of all points, of those that match, and of what branches returned."""
    _, postgres = stores
    for body, count in (
        ({"limit": 7, "offset": 100}, 7),
        ({"limit": 100, "filter": {"must": [{"has_id": [1, 2, 99]}]}}, 2),
        ({"prefetch": _leaf("dot", 5), "limit": 100}, 5),
        ({"prefetch": _leaf("dot", 5), "limit": 3, "offset": 1, "with_payload": True}, 3),
    ):
        request = QueryRequest.model_validate({"query": {"sample": "random"}, **body})
        hits = await postgres.query(NAME, request)
        assert len({hit.id for hit in hits}) == count


@pytest.mark.asyncio(loop_scope="module")
async def test_a_formula_without_a_value_is_refused(stores: tuple[EdgeStore, PgStore]) -> None:
    """A single point suffices."""
    _, postgres = stores
    body = {"prefetch": _leaf("dot"), "query": {"formula": "absent"}}
    with pytest.raises(WrongInput, match="Expected number value for absent"):
        await postgres.query(NAME, QueryRequest.model_validate(body))


@pytest.mark.asyncio(loop_scope="module")
async def test_versions_survive_composition(stores: tuple[EdgeStore, PgStore]) -> None:
    """A hit carries the number of the change that wrote its point."""
    _, postgres = stores
    single = QueryRequest.model_validate({"query": V(), "using": "dot", "limit": 1})
    [plain] = await postgres.query(NAME, single)
    for query in ({"fusion": "dbsf"}, {"formula": "$score"}, _diverse()):
        body: dict[str, Any] = {"prefetch": _leaf("dot"), "query": query, "with_payload": True}
        if "nearest" in query:
            body["using"] = "dot"
        hits = await postgres.query(NAME, QueryRequest.model_validate(body))
        assert {hit.version for hit in hits} == {plain.version}
