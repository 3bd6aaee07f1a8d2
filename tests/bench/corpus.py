"""What the searches run on: clustered unit vectors, and payloads of seven keys with values of known frequency."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.model.points import FloatArray
from service.model.qdrant import FieldCondition, Filter, MatchValue, Range
from tests.bench.data import DIMENSIONS

POINTS = int(os.environ.get("BENCH_POINTS", "100000"))
"""How many; 100,000 unless somebody tries the benchmark itself."""

INDEXES = {"lang": "keyword", "topic": "keyword", "user": "keyword", "rank": "float"}
"""The payload indexes: the other three keys have none."""

_CLUSTERS, _LATENT = 300, 48
_LANGUAGES = ("en", "de", "fr", "es", "it", "nl")
_SHARES = (0.4, 0.2, 0.1, 0.05, 0.02, 0.23)
_WORDS = [
    "ferry",
    "harbour",
    "ledger",
    "vector",
    "index",
    "stage",
    "mirror",
    "query",
    "tide",
    "rope",
]


@dataclass(frozen=True, slots=True)
class Filtered:
    """A filter that about this share of the points matches."""

    name: str
    share: float
    filter: Filter


def clustered(count: int, *, seed: int) -> FloatArray:
    """Return unit vectors of shape (count, 384); another seed gives others of the same distribution."""
    shape = np.random.default_rng(99)
    base = shape.standard_normal((_LATENT, DIMENSIONS)).astype(np.float32)
    centres = shape.standard_normal((_CLUSTERS, _LATENT)).astype(np.float32)
    random = np.random.default_rng(seed)
    latent = centres[random.integers(0, _CLUSTERS, count)]
    latent = latent + 0.6 * random.standard_normal((count, _LATENT)).astype(np.float32)
    vectors = latent @ base + 0.3 * random.standard_normal((count, DIMENSIONS)).astype(np.float32)
    unit: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def payloads(count: int, *, seed: int) -> list[dict[str, Any]]:
    """Return payloads; language and topic are keywords, one of 1,000 users, a rank between 0 and 1."""
    random = np.random.default_rng(seed)
    return [
        {
            "text": " ".join(random.choice(_WORDS, 12)),
            "lang": str(random.choice(_LANGUAGES, p=_SHARES)),
            "user": f"u{int(random.integers(1000))}",
            "topic": f"t{int(random.integers(100))}",
            "year": int(random.integers(2000, 2020)),
            "rank": float(random.random()),
            "tags": [str(word) for word in random.choice(_WORDS, 2)],
        }
        for _ in range(count)
    ]


def filters() -> list[Filtered]:
    """Return filters on indexed fields from 0.1 to 40 %, and two on a field without an index."""
    wanted = [_equal("user", "u77", 0.001), _equal("topic", "t7", 0.01)]
    wanted += [_equal("lang", name, _SHARES[at]) for at, name in enumerate(_LANGUAGES[:5])][::-1]
    wanted += [_below(0.003), _below(0.03), _below(0.3)]
    return [*wanted, _equal("year", 2007, 0.05), _equal("tags", "rope", 0.19)]


def _equal(key: str, value: str | int, share: float) -> Filtered:
    condition = FieldCondition(key=key, match=MatchValue(value=value))
    note = "" if key in INDEXES else " without an index"
    return Filtered(f"{share:.1%} ({key}{note})", share, Filter(must=[condition]))


def _below(bound: float) -> Filtered:
    condition = FieldCondition(key="rank", range=Range(lt=bound))
    return Filtered(f"{bound:.1%} (range of rank)", bound, Filter(must=[condition]))
