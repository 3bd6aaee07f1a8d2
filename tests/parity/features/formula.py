"""Formulas over scores and payloads."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, query
from tests.parity.data import vectors

_A, _B = vectors(150, 2)
_PREFETCH = [{"query": _A, "limit": 30}, {"query": _B, "limit": 30}]
_BERLIN = {"lat": 52.52, "lon": 13.405}
_DECAY = {"x": "n", "target": 20, "scale": 10, "midpoint": 0.3}

_EXPRESSIONS: dict[str, Any] = {
    "constant": 3.5,
    "score": "$score",
    "second score": "$score[1]",
    "third score": "$score[2]",
    "field": "n",
    "path": "deep.a.b",
    "indexed path": "deep.list[0].x",
    "array": "several",
    "array of one": "tags",
    "sum": {"sum": ["$score", "n", 1]},
    "sum of nothing": {"sum": []},
    "product": {"mult": ["$score", 2, "n"]},
    "product of nothing": {"mult": []},
    "product that stops": {"mult": [0, "nowhere"]},
    "largest": {"max": ["$score", {"mult": ["n", 0.01]}]},
    "smallest": {"min": ["$score", {"mult": ["n", 0.01]}]},
    "quotient": {"div": {"left": "$score", "right": "n"}},
    "quotient by zero": {"div": {"left": "$score", "right": 0, "by_zero_default": 9}},
    "quotient by zero, no default": {"div": {"left": "$score", "right": 0}},
    "negated": {"neg": "n"},
    "absolute": {"abs": {"neg": "n"}},
    "root": {"sqrt": "n"},
    "root of a negative": {"sqrt": {"neg": "n"}},
    "power": {"pow": {"base": "n", "exponent": 0.5}},
    "power too large": {"pow": {"base": 1e30, "exponent": 10}},
    "exp": {"exp": {"mult": ["n", 0.1]}},
    "log10": {"log10": "n"},
    "ln": {"ln": "n"},
    "ln of zero": {"ln": 0},
    "acosh": {"acosh": {"sum": ["n", 1]}},
    "linear decay": {"lin_decay": _DECAY},
    "exponential decay": {"exp_decay": _DECAY},
    "gaussian decay": {"gauss_decay": _DECAY},
    "decay by default": {"gauss_decay": {"x": {"mult": ["n", 0.1]}}},
    "decay of a wrong midpoint": {"exp_decay": {"x": "n", "midpoint": 2}},
    "condition": {"key": "city", "match": {"value": "Berlin"}},
    "boolean condition": {"sum": ["$score", {"key": "flag", "match": {"value": True}}]},
    "filter": {"must": [{"key": "n", "range": {"gt": 20}}]},
    "weighted condition": {
        "sum": ["$score", {"mult": [0.5, {"key": "tags", "match": {"any": ["a", "b"]}}]}]
    },
    "ids": {"has_id": [1, 2, 3]},
    "distance": {"geo_distance": {"origin": _BERLIN, "to": "where"}},
    "near": {
        "sum": [
            "$score",
            {
                "gauss_decay": {
                    "x": {"geo_distance": {"origin": _BERLIN, "to": "where"}},
                    "scale": 5e6,
                }
            },
        ]
    },
    "moment": {"datetime": "2024-05-05T10:00:00Z"},
    "missing moment": {"datetime_key": "when"},
    "missing field": "f",
    "no such field": "nowhere",
    "a string": "city",
    "a boolean": "flag",
    "a malformed path": "a..b",
    "a malformed moment": {"datetime": "yesterday"},
}

_DEFAULTED: dict[str, Any] = {
    "field": ("f", {"f": 100}),
    "second score": ("$score[1]", {"$score[1]": 0.75}),
    "moment": ({"datetime_key": "when"}, {"when": "2024-01-01T00:00:00Z"}),
    "age": (
        {
            "exp_decay": {
                "x": {"datetime_key": "when"},
                "target": {"datetime": "2024-06-01"},
                "scale": 86400,
            }
        },
        {"when": "2024-01-01"},
    ),
    "place": ({"geo_distance": {"origin": _BERLIN, "to": "nowhere"}}, {"nowhere": _BERLIN}),
    "of a wrong type": ("f", {"f": "x"}),
    "of an array": ("nowhere", {"nowhere": [5]}),
}


_NUMBER = "Wrong input: Expected number value for {} in the payload and/or in the formula defaults."
_PLACE = _NUMBER.replace("number", "geo point").format("where")
_FINITE = "Wrong input: The expression "

_FAILING = {
    **{
        name: _NUMBER.format(path)
        for name, path in {
            "array": "several",
            "array of one": "tags",
            "missing field": "f",
            "no such field": "nowhere",
            "a string": "city",
            "a boolean": "flag",
            "default of a wrong type": "f",
            "array, indexed": "several",
            "default of an array": "nowhere",
        }.items()
    },
    "distance": _PLACE,
    "near": _PLACE,
    "distance, indexed": _PLACE,
    "missing moment": _NUMBER.replace("number", "datetime").format("when"),
    **dict.fromkeys(
        (
            "quotient by zero, no default",
            "root of a negative",
            "power too large",
            "ln of zero",
        ),
        _FINITE,
    ),
}
"""What the engine answers with a cancellation, and how the server's answer begins, after its source."""


def rows() -> Iterator[Row]:
    """Each expression over two prefetches, with an index of its fields and without."""
    for dataset in ("dense-cosine",):
        for name, expression in _EXPRESSIONS.items():
            body = {"prefetch": _PREFETCH, "query": {"formula": expression}, "limit": 60}
            yield query(dataset, name, body, golden=_FAILING.get(name))
        for name, (expression, defaults) in _DEFAULTED.items():
            wanted = {"formula": expression, "defaults": defaults}
            body = {"prefetch": _PREFETCH, "query": wanted, "limit": 60}
            label = f"default {name}"
            yield query(dataset, label, body, golden=_FAILING.get(label))
    boosted = {"sum": ["$score", {"mult": [0.1, "n"]}]}
    body = {"prefetch": _PREFETCH[0], "query": {"formula": boosted}}
    yield query("dense-euclid", "distances", body)
    yield query("dense-cosine", "page", {**body, "offset": 4, "limit": 3, "with_payload": ["n"]})
    yield query("dense-cosine", "threshold", {**body, "score_threshold": 2.0, "limit": 30})
    yield query("dense-cosine", "no prefetch", {"query": {"formula": boosted}})
    inner = {**body, "limit": 12}
    yield query("dense-cosine", "inside", {"prefetch": inner, "query": {"fusion": "rrf"}})
    yield query("dense-cosine", "rescored", {"prefetch": inner, "query": _B})
    for name in ("field", "array", "condition", "missing moment", "distance", "path"):
        leaf = {"query": vectors(151, 1, 4)[0], "limit": 60}
        wanted = {"formula": _EXPRESSIONS[name], "defaults": {"when": "2024-01-01T00:00:00Z"}}
        body = {"prefetch": leaf, "query": wanted, "limit": 60}
        label = f"{name}, indexed"
        yield query("indexed", label, body, golden=_FAILING.get(label))
