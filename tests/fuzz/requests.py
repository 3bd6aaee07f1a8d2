"""Requests as Hypothesis draws them: schemathesis makes them from the document, then they are seasoned and spoilt.

A request of random words is refused at the first of them, the same way everywhere. So most words are replaced by ones
that mean something in ``world.py``; and in some requests one value is replaced by one that is wrong.
"""

import random
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import schemathesis
from hypothesis import strategies as st
from schemathesis.core import NotSet
from schemathesis.core.result import Ok
from starlette.testclient import TestClient

from service.api.qdrant.app import qdrant_app
from service.api.qdrant.kinds import OPERATIONS
from tests.fakes import MemoryStore
from tests.fuzz.seasoning import completed, seasoned_body
from tests.fuzz.world import ALIAS, IDS, MADE, MISSING, NAMED, PATHS, PLAIN, VECTOR_NAMES

_SPOILT = 0.2
_MAKES_COLLECTIONS = frozenset({"create_collection", "delete_collection", "update_collection"})
_WAITED = frozenset({*OPERATIONS.values(), "batch_update"})
_OFTEN = ("points", "facet")
"""Parts of paths that most requests go to."""
_WRONG: list[Any] = [
    *(None, True, -1, 0, 2**63, 2**64, 1.5, -0.0, 1e39, "", "x", "\x00", [], {}, [[]], [None]),
    *({"a": 1}, "9" * 400, [1, "1"], {"must": None}, {"indices": [1, 1], "values": [1]}),
]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent."""

    operation: str
    method: str
    path: str
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.body!r}"[:2_000]


def requests() -> st.SearchStrategy[Request]:
    """Draw requests of all operations, those on points most often."""
    with TestClient(qdrant_app(MemoryStore(), version="1.19.0")) as http:
        document = http.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    often = [each for each in operations if any(part in each.path for part in _OFTEN)]
    drawn = {each.label: each.as_strategy() for each in operations}
    chosen = st.sampled_from(often) | st.sampled_from(often) | st.sampled_from(operations)

    @st.composite
    def request(draw: st.DrawFn) -> Request:
        operation = draw(chosen)
        case = draw(drawn[operation.label])
        dice = random.Random(draw(st.integers(0, 2**32)))
        name = operation.definition.raw["operationId"]
        query = {key: str(value) for key, value in (case.query or {}).items() if value is not None}
        if name in _WAITED:
            # Without it a write that fails later is answered before it does.
            query["wait"] = "true"
        path = _path(name, operation.path, dice) + ("?" + urlencode(query) if query else "")
        body = None if isinstance(case.body, NotSet) else _cooked(name, path, case.body, dice)
        return Request(name, operation.method.upper(), path, body)

    return request()


def _path(name: str, template: str, dice: random.Random) -> str:
    collections = [MADE, PLAIN] if name in _MAKES_COLLECTIONS else _collections()
    path = template.replace("{collection_name}", dice.choice(collections))
    path = path.replace("{id}", str(dice.choice([*IDS, "abc"])))
    path = path.replace("{field_name}", quote(dice.choice(PATHS), safe=""))
    path = path.replace("{vector_name}", dice.choice([*VECTOR_NAMES, "new"]))
    return path.replace("{shard_id}", "0").replace("{snapshot_name}", "x").replace("{peer_id}", "1")


def _collections() -> list[str]:
    return [*[NAMED] * 5, *[PLAIN] * 3, ALIAS, MADE, MISSING]


def _cooked(name: str, path: str, body: Any, dice: random.Random) -> Any:
    seasoned = completed(name, path, seasoned_body(body, dice), dice)
    return _spoilt(seasoned, dice) if dice.random() < _SPOILT else seasoned


def _spoilt(value: Any, dice: random.Random) -> Any:
    """Replace one value somewhere."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        return {**value, key: _spoilt(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        return [*value[:at], _spoilt(value[at], dice), *value[at + 1 :]]
    return dice.choice(_WRONG)
