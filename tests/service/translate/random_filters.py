"""Random payloads, payload indexes and filters that meet often: few keys, few values, all shapes.

Every kind of value has a key of its own, where it is most of what is found; the other kinds turn up there too. All
is made of a seeded ``Random``: a Hypothesis strategy of this size would take longer than the stores that it tests.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import degrees
from random import Random
from typing import Any, TypeAlias

from service.translate.datetimes import parse_datetime

UUIDS = (
    "12345678-1234-5678-1234-567812345678",
    "12345678-1234-5678-1234-56781234ABCD",
)
_UUID_TEXTS = (
    *UUIDS,
    UUIDS[0].replace("-", ""),
    "{12345678-1234-5678-1234-56781234abcd}",
    f"urn:uuid:{UUIDS[0]}",
    f"{{{UUIDS[0]}",
)
INTEGERS = (-3, 0, 1, 2, 3, 2**53, 2**53 + 1, 2**63 - 1, -(2**63))
_NUMBERS = (
    *INTEGERS,
    2**63,
    2**63 + 1024,
    2**63 + 1025,
    2**64 - 1,
    -0.5,
    0.0,
    -0.0,
    0.1,
    1.0,
    2.5,
    3.0,
    2.0**53,
    1e300,
)
_BOUNDS = (
    -3.0,
    -0.5,
    0.0,
    0.1,
    1.0,
    2.5,
    3.0,
    2.0**53,
    2.0**53 + 2,
    2.0**63,
    -(2.0**63),
    9.3e18,
    1.8e19,
)
KEYWORDS = ("red", "Red", "", 'q"\\', "ß☃", "blue sky", "blue\tgrass", "2")
_TEXTS = (
    *KEYWORDS,
    "the quick brown fox",
    "The QUICK, fox!",
    "fox the quick",
    "quick the fox",
    "Ärger über Öl",
    "ΟΔΟΣ οδός",
    "İstanbul ǅ ﬁ",
    "foo_bar foo-bar don't",
    "данные ДАННЫЕ Ёж",
    "日本語 text ① ² Ⅷ",
)
_QUERIES = (
    *("quick", "the fox", "quick fox", "THE", "fo", "q", "brown the", "", " ", "!", "foo bar"),
    *("ärger", "ÖL uber", "arger", "οδος", "ΟΔΟΣ", "istanbul", "İSTANBUL", "fi", "данные ёж"),
    *("日本語", "①", "2", "don't", "dont t", "sky", "red", "blue sky", "foo_bar"),
)
MOMENTS = (
    "2020-01-01T00:00:00Z",
    "2020-01-01",
    "2020-01-01 01:00:00+01",
    " 2020-1-1T00:00",
    "2020-01-01T00:00:00.000001Z",
    "2019-12-31T23:59:60Z",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00-0230",
    "2020-02-30",
    "1577836800",
    "2020-01-01T24:00:00",
)
_INSTANTS = tuple(parse_datetime(moment).isoformat() for moment in MOMENTS[:8])
_LONS = (-180.0, -179.5, -10.0, -1.5, 0.0, 0.5, 1.0, 2, 10.0, 179.5, 180.0)
_LATS = (-90.0, -10.0, 0.0, 0.25, 0.5, 1.0, 2, 10.0, 89.5, 90.0)
_RADII = (0.0, 1.0, 60_000.0, 111_000.0, 112_000.0, 1_600_000.0, 2e7, 1e9)

_ODD_POINTS: tuple[Any, ...] = (
    {"lon": 200.0, "lat": 1.0},
    {"lon": 1.0, "lat": 95.0},
    {"lon": "1", "lat": 1.0},
    {"lat": 1.0},
    {"lon": 0.5, "lat": 0.5, "alt": [1]},
    {"lon": 1e300, "lat": 0.5},
    {"lon": 1e-300, "lat": -1e-300},
)
RINGS = (
    ((0, 0), (0, 2), (2, 2), (2, 0), (0, 0)),
    ((-10, -10), (10, 10), (-10, 10), (10, -10), (-10, -10)),
    ((0, 0), (1, 0.5), (2, 0), (1, 2), (0, 0)),
    ((0, 0), (10, 0), (10, 10), (0, 10), (0, 0), (10, 0), (10, 10), (0, 10), (0, 0)),
    ((0.1, 0.1), (0.7, 0.2), (0.4, 0.9), (0.1, 0.1)),
)


def _place(rng: Random) -> dict[str, float]:
    return {"lon": rng.choice(_LONS), "lat": rng.choice(_LATS)}


_KINDS: Mapping[str, Callable[[Random], Any]] = {
    "n": lambda rng: rng.choice(_NUMBERS),
    "s": lambda rng: rng.choice(KEYWORDS),
    "x": lambda rng: rng.choice(_TEXTS),
    "t": lambda rng: rng.choice(MOMENTS),
    "g": lambda rng: rng.choice(_ODD_POINTS) if rng.random() < 0.2 else _place(rng),
    "u": lambda rng: rng.choice(_UUID_TEXTS),
    "o": lambda rng: rng.random() < 0.5,
}
_EMPTY: tuple[Any, ...] = (None, [], {})


def _odd(rng: Random) -> Any:
    return rng.choice(_EMPTY) if rng.random() < 0.3 else _KINDS[rng.choice([*_KINDS])](rng)


def _list(rng: Random, make: Callable[[Random], Any], longest: int = 3) -> list[Any]:
    return [make(rng) for _ in range(rng.randint(0, longest))]


def _value(rng: Random, kind: str) -> Any:
    """Mostly one value of the kind or some, sometimes anything."""

    def mostly(rng: Random) -> Any:
        return _KINDS[kind](rng) if rng.random() < 0.7 else _odd(rng)

    match rng.randint(0, 9):
        case 0:
            return _odd(rng)
        case 1:
            return _list(rng, lambda rng: _list(rng, mostly))
        case 2 | 3 | 4:
            return _list(rng, mostly)
        case _:
            return _KINDS[kind](rng)


def _flat(rng: Random) -> dict[str, Any]:
    return {kind: _value(rng, kind) for kind in _KINDS if rng.random() < 0.6}


def _objects(rng: Random) -> Any:
    match rng.randint(0, 4):
        case 0:
            return _flat(rng)
        case 1:
            return _list(rng, lambda rng: _list(rng, _flat, 2), 2)
        case _:
            return _list(rng, lambda rng: _flat(rng) if rng.random() < 0.8 else _odd(rng))


def _deep(rng: Random) -> dict[str, Any]:
    return {"a": _objects(rng), "c.d": _odd(rng)} if rng.random() < 0.8 else {}


def payload(rng: Random) -> dict[str, Any]:
    """Return the payload of one point."""
    made = _flat(rng)
    if rng.random() < 0.7:
        made["a"] = _objects(rng)
    if rng.random() < 0.5:
        made["b"] = _list(rng, _deep, 2) if rng.random() < 0.5 else _deep(rng)
    return made


_PREFIXES = (
    *[""] * 6,
    *["a[]."] * 3,
    "a.",
    "a[0].",
    "a[1].",
    "b.a[].",
    "b[].a[].",
    "a[][].",
    "b.a.",
)
_SUFFIXES = (*[""] * 10, "[]", "[]", "[0]", "[][]", "[0][]", "[].lon")
_OTHER_PATHS = ("a", "a[]", "b", "b.a", 'b."c.d"', '"b"."c.d"', "a[0]", "nowhere")


def _path(rng: Random, kind: str) -> str:
    if rng.random() < 0.1:
        return rng.choice(_OTHER_PATHS)
    key = kind if rng.random() < 0.8 else rng.choice([*_KINDS])
    return rng.choice(_PREFIXES) + key + rng.choice(_SUFFIXES)


def _bounds(rng: Random, values: Sequence[Any], fewest: int = 0) -> dict[str, Any]:
    names = rng.sample(("gt", "gte", "lt", "lte"), rng.randint(fewest, 2))
    return {name: rng.choice(values) for name in names}


def _values(rng: Random) -> list[Any]:
    of: Sequence[Any] = rng.choice((KEYWORDS, INTEGERS, _UUID_TEXTS))
    return [rng.choice(of) for _ in range(rng.randint(0, 3))]


def _ring(rng: Random) -> dict[str, Any]:
    return {"points": [{"lon": float(x), "lat": float(y)} for x, y in rng.choice(RINGS)]}


def _polygon(rng: Random) -> dict[str, Any]:
    return {"exterior": _ring(rng), "interiors": _list(rng, _ring, 2)}


_TESTS: tuple[tuple[str, str, Callable[[Random], Any]], ...] = (
    ("s", "match", lambda rng: {"value": rng.choice((*KEYWORDS, *INTEGERS))}),
    ("n", "match", lambda rng: {"value": rng.choice(INTEGERS)}),
    ("u", "match", lambda rng: {"value": rng.choice(_UUID_TEXTS)}),
    ("n", "match", lambda rng: {"any": _values(rng)}),
    ("u", "match", lambda rng: {"any": _values(rng)}),
    ("s", "match", lambda rng: {"except": _values(rng)}),
    ("n", "match", lambda rng: {"except": _values(rng)}),
    ("x", "match", lambda rng: {"text": rng.choice(_QUERIES)}),
    ("x", "match", lambda rng: {"text_any": rng.choice(_QUERIES)}),
    ("x", "match", lambda rng: {"phrase": rng.choice(_QUERIES)}),
    ("s", "match", lambda rng: {"prefix": rng.choice(("", "r", "blue", "ß", 'q"', ".*"))}),
    (
        "s",
        "match",
        lambda rng: {"substring": rng.choice(("", "e", " s", "\\", "☃", "\t", "[a-z]"))},
    ),
    ("n", "range", lambda rng: _bounds(rng, _BOUNDS)),
    ("t", "range", lambda rng: _bounds(rng, _INSTANTS, 1)),
    ("g", "geo_bounding_box", lambda rng: {"top_left": _place(rng), "bottom_right": _place(rng)}),
    ("g", "geo_radius", lambda rng: {"center": _place(rng), "radius": rng.choice(_RADII)}),
    ("g", "geo_polygon", _polygon),
    ("x", "values_count", lambda rng: _bounds(rng, range(4))),
    ("s", "is_empty", lambda rng: rng.random() < 0.5),
    ("s", "is_null", lambda rng: rng.random() < 0.5),
)


def _field(rng: Random) -> dict[str, Any]:
    if rng.random() < 0.1:
        return {rng.choice(("is_empty", "is_null")): {"key": _path(rng, rng.choice([*_KINDS]))}}
    kind, test, make = rng.choice(_TESTS)
    return {"key": _path(rng, kind), test: make(rng)}


def _boolean(rng: Random) -> dict[str, Any]:
    return {"key": _path(rng, "o"), "match": {"value": rng.random() < 0.5}}


def _about_point(rng: Random, ids: Sequence[int | str], vectors: Sequence[str]) -> dict[str, Any]:
    match rng.randint(0, 2):
        case 0:
            return {"has_id": rng.sample(ids, rng.randint(0, min(4, len(ids))))}
        case 1:
            total = rng.randint(1, 4)
            return {"slice": {"total": total, "index": rng.randrange(total)}}
        case _:
            return {"has_vector": rng.choice((*vectors, "none such"))}


def _clauses(rng: Random, make: Callable[[Random], Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        name: _list(rng, make) for name in ("must", "must_not", "should") if rng.random() < 0.4
    }
    if rng.random() < 0.15:
        # An empty list matches nothing, but not beside has_id: there the engine forgets it.
        conditions = [make(rng) for _ in range(rng.randint(1, 3))]
        made["min_should"] = {"conditions": conditions, "min_count": rng.randint(0, 3)}
    return made


_ARRAYS = ("a", "a", "a[]", "b.a", "b[].a", "b", "a[0]", "g", "nowhere")


Make: TypeAlias = Callable[[Random], dict[str, Any]]


def _nested(rng: Random, make: Make) -> dict[str, Any]:
    return {"nested": {"key": rng.choice(_ARRAYS), "filter": _clauses(rng, make)}}


def _condition(rng: Random, depth: int, about_point: Make) -> dict[str, Any]:
    """Return a condition on the payload mostly, or one of conditions when ``depth`` is left."""

    def below(rng: Random) -> dict[str, Any]:
        return _condition(rng, depth - 1, about_point)

    match rng.randint(0, 11):
        case 0:
            return about_point(rng)
        case 1 | 2 if depth:
            return _clauses(rng, below)
        case 3 | 4 if depth:
            return _nested(rng, lambda rng: _field(rng) if rng.random() < 0.6 else below(rng))
        case _:
            return _field(rng)


def random_filter(rng: Random, ids: Sequence[int | str], vectors: Sequence[str]) -> dict[str, Any]:
    """Return a filter on points with such ids and vectors of such names."""

    def about_point(rng: Random) -> dict[str, Any]:
        return _about_point(rng, ids, vectors)

    def condition(rng: Random) -> dict[str, Any]:
        # Not below: inside nested conditions the engine's binding takes True for 1.
        return _boolean(rng) if rng.random() < 0.07 else _condition(rng, 2, about_point)

    # One condition alone tells most of what is wrong with it.
    if rng.random() < 0.5:
        return {rng.choice(("must", "must", "must_not")): [condition(rng)]}
    return _clauses(rng, condition)


def is_contested(wanted: Any, schema: Mapping[str, Any]) -> bool:
    """Say whether the engine answers such a filter now one way and now another.

    It does when an index finds fewer points than the condition matches, which then depends on whether the engine looks
    for points in the index or in what another condition leaves. All of these but the last need a payload index:

    - a string that spells a UUID, sought in a field with an index of numbers or moments;
    - a range with both ``lt`` and ``lte``, or both ``gt`` and ``gte``, of which the index knows one;
    - a circle or a box that reaches a pole, crosses the date line or goes half round the globe: the cells of a geo
      index do not cover it;
    - inside ``nested``: ranges, exceptions, emptiness, nullness, places and phrases. The index looks for all elements
      together and knows values of its kind only, the condition tests each element without it;
    - at least one of no conditions: nothing, or no constraint once points are looked for by another condition.
    """
    return _wants_some_of_none(wanted) or any(
        _is_contested(condition, _kind(schema, str(condition.get("key"))), nested=nested)
        for condition, nested in _conditions(wanted)
    )


def _wants_some_of_none(wanted: Any) -> bool:
    match wanted:
        case {"min_should": {"conditions": [], "min_count": int(count)}} if count > 0:
            return True
        case dict():
            return any(map(_wants_some_of_none, wanted.values()))
        case list():
            return any(map(_wants_some_of_none, wanted))
        case _:
            return False


def _is_contested(condition: Mapping[str, Any], kind: str | None, *, nested: bool) -> bool:
    match condition:
        case {"is_empty": {}} | {"is_null": {}}:
            return nested
        case {"key": _} if kind is None:
            return False
        case {"match": {"value": str(value)}}:
            return value in _UUID_TEXTS and kind in {"integer", "float", "datetime"}
        case {"match": {"phrase": _} | {"except": _}} | {"is_empty": _} | {"is_null": _}:
            return nested
        case {"range": bounds}:
            return nested or {"lt", "lte"} <= bounds.keys() or {"gt", "gte"} <= bounds.keys()
        case {"geo_radius": {"center": center, "radius": radius}}:
            return nested or abs(center["lat"]) + degrees(radius / 6_371_000) > 89
        case {"geo_bounding_box": {"top_left": top_left, "bottom_right": bottom_right}}:
            width = bottom_right["lon"] - top_left["lon"]
            at_pole = top_left["lat"] >= 90 or bottom_right["lat"] <= -90
            return nested or at_pole or not 0 <= width <= 180
        case {"geo_polygon": _}:
            return nested
        case _:
            return False


def _kind(schema: Mapping[str, Any], key: str) -> str | None:
    given = next((given for path, given in schema.items() if path.endswith(key)), None)
    return None if given is None else str(given["type"] if isinstance(given, dict) else given)


def _conditions(wanted: Any, *, nested: bool = False) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Yield all conditions on fields, with whether they stand inside ``nested``."""
    match wanted:
        case {"key": str(), "filter": inner}:
            yield from _conditions(inner, nested=True)
        case {"key": str()} | {"is_empty": _} | {"is_null": _}:
            yield wanted, nested
        case dict():
            for inner in wanted.values():
                yield from _conditions(inner, nested=nested)
        case list():
            for inner in wanted:
                yield from _conditions(inner, nested=nested)
        case _:
            return


def _text_index(rng: Random) -> dict[str, Any]:
    options: dict[str, Any] = {
        "tokenizer": rng.choice(("word", "whitespace", "prefix")),
        "lowercase": rng.random() < 0.5,
        "ascii_folding": rng.random() < 0.5,
        "phrase_matching": rng.random() < 0.5,
        "stopwords": rng.choice(
            (
                {"custom": []},
                {"custom": ["the", "Fox"]},
                "english",
                {"languages": ["english"], "custom": ["q"]},
            )
        ),
        "min_token_len": rng.randint(1, 4),
        "max_token_len": rng.randint(4, 6),
    }
    return {
        "type": "text",
        **{name: value for name, value in options.items() if rng.random() < 0.5},
    }


_USUAL_INDEX = {
    "n": "integer",
    "s": "keyword",
    "t": "datetime",
    "g": "geo",
    "u": "uuid",
    "o": "bool",
}
_INDEXES: tuple[Any, ...] = (
    *("keyword", "integer", "float", "bool", "uuid", "datetime", "geo", "text"),
    {"type": "keyword", "prefix": True},
    {"type": "integer", "lookup": True, "range": False},
    {"type": "integer", "lookup": False, "range": True},
)


def _index(rng: Random, kind: str) -> Any:
    if rng.random() < 0.5:
        return _USUAL_INDEX[kind] if kind in _USUAL_INDEX else _text_index(rng)
    return _text_index(rng) if rng.random() < 0.2 else rng.choice(_INDEXES)


def schema(rng: Random) -> dict[str, Any]:
    """Return payload indexes: from field to what a client would write."""
    prefix, suffix = rng.choice(
        (("", ""), ("", ""), ("", "[]"), ("a[].", ""), ("b.a[].", ""), ("a.", ""))
    )
    return {f"{prefix}{kind}{suffix}": _index(rng, kind) for kind in _KINDS if rng.random() < 0.5}
