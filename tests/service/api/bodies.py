"""Valid request bodies, each twice: as it should be and with fields that Qdrant does not know."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

KEYS = st.sampled_from(["a", "b.c", "d[].e"])
UUIDS = st.uuids().map(str)
IDS = st.integers(0, 2**64 - 1) | UUIDS
NUMBERS = st.integers(-5, 5) | st.floats(-1e3, 1e3, width=32)
MOMENTS = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
# Longer than any real field's name, so that none is hit by accident.
NOISE: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.text(min_size=30, max_size=32, alphabet="xyz"),
    st.integers() | st.just({"must": []}),
    max_size=2,
)


@dataclass(frozen=True)
class Pair:
    """The same body without and with unknown fields."""

    clean: Any
    noisy: Any


def _plain(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Pair]:
    return values.map(lambda value: Pair(value, value))


def _closed(**fields: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    return st.fixed_dictionaries({}, optional=fields).map(
        lambda pairs: Pair(
            {name: pair.clean for name, pair in pairs.items()},
            {name: pair.noisy for name, pair in pairs.items()},
        )
    )


def _open(
    required: dict[str, st.SearchStrategy[Pair]],
    optional: dict[str, st.SearchStrategy[Pair]] | None = None,
) -> st.SearchStrategy[Pair]:
    return st.tuples(st.fixed_dictionaries(required, optional=optional or {}), NOISE).map(
        lambda both: Pair(
            {name: pair.clean for name, pair in both[0].items()},
            {**both[1], **{name: pair.noisy for name, pair in both[0].items()}},
        )
    )


def _list(items: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    return st.lists(items, max_size=3).map(
        lambda pairs: Pair([p.clean for p in pairs], [p.noisy for p in pairs])
    )


def _bounds(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Pair]:
    return _open({"gte": _plain(values)}, {"lt": _plain(values)})


MATCHES = st.one_of(
    _open({"value": _plain(st.booleans() | st.integers(-9, 9) | st.text(max_size=3))}),
    _open({"any": _plain(st.lists(st.text(max_size=3), min_size=1))}),
    _open({"except": _plain(st.lists(st.integers(-9, 9), min_size=1))}),
    _open({"text": _plain(st.text(max_size=3))}),
)
DEGREES = st.integers(-90, 90) | st.floats(-90, 90)
POINT = _open({"lon": _plain(DEGREES), "lat": _plain(DEGREES)})
LEAVES = st.one_of(
    _open({"key": _plain(KEYS), "match": MATCHES}),
    _open({"key": _plain(KEYS), "range": _bounds(NUMBERS) | _bounds(MOMENTS)}),
    _open({"key": _plain(KEYS), "values_count": _open({"gt": _plain(st.integers(0, 9))})}),
    _open({"key": _plain(KEYS), "geo_radius": _open({"center": POINT, "radius": _plain(NUMBERS)})}),
    _open({"key": _plain(KEYS), "is_null": _plain(st.booleans())}),
    _open({"is_empty": _open({"key": _plain(KEYS)})}),
    _open({"has_id": _plain(st.lists(IDS, max_size=3))}),
    _open({"has_vector": _plain(st.just("v"))}),
)


def _filters(conditions: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    some = _list(conditions) | conditions
    at_least = _open({"conditions": _list(conditions), "min_count": _plain(st.integers(0, 3))})
    return _closed(must=some, should=some, must_not=some, min_should=at_least)


FILTERS = _filters(
    st.recursive(
        LEAVES,
        lambda inner: (
            _filters(inner)
            | _open({"nested": _open({"key": _plain(KEYS), "filter": _filters(inner)})})
        ),
        max_leaves=5,
    )
)
# Long ones take another way through the parser.
VECTORS = st.lists(NUMBERS, min_size=1, max_size=4) | st.lists(NUMBERS, min_size=16, max_size=20)
SPARSE = _open({"indices": _plain(st.just([1, 5])), "values": _plain(st.just([0.5, 2]))})
INPUTS = _plain(VECTORS) | _plain(st.lists(VECTORS, min_size=1, max_size=2)) | _plain(IDS) | SPARSE
PAYLOADS = _plain(st.booleans() | st.lists(KEYS, min_size=1)) | st.builds(
    lambda keys: Pair({"include": keys}, {"include": keys}), st.lists(KEYS)
)


def query_bodies() -> st.SearchStrategy[Pair]:
    """Bodies of ``points/query``."""
    query = st.one_of(
        INPUTS,
        _open({"nearest": INPUTS}, {"mmr": _open({"diversity": _plain(st.floats(0, 1))})}),
        _open({"fusion": _plain(st.sampled_from(["rrf", "dbsf"]))}),
        _open({"recommend": _open({"positive": _list(INPUTS).filter(lambda pair: pair.clean)})}),
    )
    leaf = _open({}, {"query": query, "filter": FILTERS, "limit": _plain(st.integers(1, 9))})
    return _open(
        {},
        {
            "prefetch": leaf | _list(leaf),
            "query": query,
            "filter": FILTERS,
            "params": _open({}, {"hnsw_ef": _plain(st.integers(1, 9))}),
            "limit": _plain(st.integers(1, 100)),
            "with_payload": PAYLOADS,
            "with_vector": _plain(st.booleans() | st.lists(KEYS)),
        },
    )


def scroll_bodies() -> st.SearchStrategy[Pair]:
    """Bodies of ``points/scroll``."""
    order = _open({"key": _plain(KEYS)}, {"start_from": _plain(st.integers(0, 9) | MOMENTS)})
    return _open(
        {},
        {
            "offset": _plain(IDS),
            "limit": _plain(st.integers(1, 100)),
            "filter": FILTERS,
            "order_by": _plain(KEYS) | order,
            "with_payload": PAYLOADS,
        },
    )
