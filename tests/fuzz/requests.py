"""Requests as Hypothesis draws them: schemathesis makes them from the document, then they are seasoned and spoilt.

A request of random words is refused at the first of them, the same way everywhere. So most bodies are right for the
collection that they are sent to (``right.py``), some of them with a field as it was drawn; in the others most words are
replaced by ones that mean something in ``world.py``. And in some requests one value is replaced by one that is wrong.
"""

import itertools
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
from tests.fuzz.right import right_body
from tests.fuzz.seasoning import completed, seasoned_body
from tests.fuzz.world import (
    ALIAS,
    IDS,
    MADE,
    MISSING,
    NAMED,
    OTHER_IDS,
    PATHS,
    PLAIN,
    VECTOR_NAMES,
)

_RIGHT, _MIXED, _SPOILT = 0.75, 0.2, 0.12
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
    cases = {each.label: each.as_strategy() for each in operations}
    # To make the world anew, after a change of a collection, takes as long as a hundred requests.
    chosen = st.sampled_from(often * 12 + operations)

    numbers = itertools.count()

    @st.composite
    def request(draw: st.DrawFn) -> Request:
        operation = draw(chosen)
        case = draw(cases[operation.label])
        # Hypothesis likes to draw the same again; a request that was sent before tells nothing.
        dice = random.Random(f"{draw(st.integers(0, 2**32))} {next(numbers)}")
        name = operation.definition.raw["operationId"]
        query = {key: str(value) for key, value in (case.query or {}).items() if value is not None}
        if name in _WAITED:
            # Without it a write that fails later is answered before it does.
            query["wait"] = "true"
        collection = _collection(name, dice)
        path = _path(operation.path, collection, dice) + ("?" + urlencode(query) if query else "")
        drawn = None if isinstance(case.body, NotSet) else case.body
        body = None if drawn is None else _cooked(name, collection, drawn, dice)
        return Request(name, operation.method.upper(), path, body)

    return request()


def _collection(name: str, dice: random.Random) -> str:
    if name in _MAKES_COLLECTIONS:
        return dice.choice([MADE, PLAIN])
    return dice.choice([*[NAMED] * 10, *[PLAIN] * 6, ALIAS, ALIAS, MADE, MISSING])


def _path(template: str, collection: str, dice: random.Random) -> str:
    path = template.replace("{collection_name}", collection)
    path = path.replace("{id}", str(dice.choice([*IDS, *OTHER_IDS, "abc"])))
    path = path.replace("{field_name}", quote(dice.choice(PATHS), safe=""))
    path = path.replace("{vector_name}", dice.choice([*VECTOR_NAMES, "new"]))
    return path.replace("{shard_id}", "0").replace("{snapshot_name}", "x").replace("{peer_id}", "1")


def _cooked(name: str, collection: str, drawn: Any, dice: random.Random) -> Any:
    right = right_body(name, collection, dice) if dice.random() < _RIGHT else None
    if right is None:
        body = completed(name, collection, seasoned_body(drawn, dice), dice)
    else:
        body = _mixed(right, drawn, dice) if dice.random() < _MIXED else right
    return _spoilt(body, dice) if dice.random() < _SPOILT else body


def _mixed(right: dict[str, Any], drawn: Any, dice: random.Random) -> dict[str, Any]:
    """Return the right body with one of the drawn one's fields, seasoned."""
    seasoned = seasoned_body(drawn, dice)
    if not isinstance(seasoned, dict) or not seasoned:
        return right
    key = dice.choice(list(seasoned))
    return {**right, key: seasoned[key]}


def _spoilt(value: Any, dice: random.Random) -> Any:
    """Replace one value somewhere."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        return {**value, key: _spoilt(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        return [*value[:at], _spoilt(value[at], dice), *value[at + 1 :]]
    return dice.choice(_WRONG)
