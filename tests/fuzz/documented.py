"""What vecferry says that it does not do: the only 501 answers that are right, and the only other differences."""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

_DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True, slots=True)
class Documented:
    """A pattern of an error's text, and the sentence of a page that announces such errors."""

    pattern: str
    sentence: str
    page: str = "limits.md"

    def is_written(self) -> bool:
        """Say whether the sentence stands in the page, however its lines are broken."""
        return self.sentence in " ".join((_DOCS / self.page).read_text().split())


REFUSED = (
    Documented(
        r"inference|query\.text ",
        "Server-side inference (`Document`, `Image`, `InferenceObject`) and the BM25 text query",
    ),
    Documented(
        r"needs the (tokenizer|stemmer|stop words)|text index per element",
        "on a field whose text index has the tokenizer `multilingual` or `code`, a Snowball stemmer, "
        "stop words of a language other than English, or the parameter `nested`",
    ),
    Documented(r"shard_key", "`shard_key`, and whatever else needs custom sharding"),
    Documented(r"datatype|dimensions", "Vectors of the datatypes `turbo4`, `turbo8` and `turbo16`"),
    Documented(r"names more than", "A query with more than 1,600 example vectors"),
    Documented(
        r"/snapshot", "Snapshots, shard keys and changes of a cluster: the error says what to use"
    ),
    Documented(r"quotas", "Quotas (`/quotas`) are refused"),
)
"""501 answers of vecferry."""

REFUSED_BY_ENGINE = (
    *REFUSED,
    Documented(
        r"\.match|holds a boolean|boolean match",
        "boolean matches inside `nested`",
        page="embedded.md",
    ),
)
"""501 answers of the embedded engine."""

CANCELLED = Documented(
    r"Operation cancelled",
    "A formula that fails for a point is answered 500 without the reason",
    page="embedded.md",
)
"""What the embedded engine answers where a server answers 400, and vecferry does."""

INFINITE = Documented(
    r"infinite value not allowed",
    "A vector with a component that is infinite** in its datatype (from 65,520 in `float16`) is refused",
)
"""What vecferry answers 400 where Qdrant computes with infinity."""

DIFFERENT = (
    Documented(r"\\u0000", "Postgres cannot hold the character `\\u0000`"),
    Documented(r"\\ud[89a-f]", "or half a surrogate pair in a payload"),
)
"""What may stand in a body that is answered in two ways."""


def is_cancelled(oracle: httpx.Response, subject: httpx.Response) -> bool:
    """Say whether a formula failed, which the engine does not tell as a server does."""
    cancelled = re.search(CANCELLED.pattern, oracle.text) is not None
    is_refused = subject.status_code == HTTPStatus.BAD_REQUEST and "formula" in subject.text
    return cancelled and oracle.status_code == HTTPStatus.INTERNAL_SERVER_ERROR and is_refused


def is_infinite(oracle: httpx.Response, subject: httpx.Response) -> bool:
    """Say whether a vector's component is infinite in its datatype, which Postgres does not hold."""
    is_refused = subject.status_code == HTTPStatus.BAD_REQUEST
    is_told = re.search(INFINITE.pattern, subject.text) is not None
    return oracle.status_code == HTTPStatus.OK and is_refused and is_told


def is_documented(answer: httpx.Response, known: tuple[Documented, ...]) -> bool:
    """Say whether this is a 501 that a page announces."""
    if answer.status_code != HTTPStatus.NOT_IMPLEMENTED:
        return False
    return any(re.search(each.pattern, answer.text) for each in known)


def may_differ(body: Any) -> bool:
    """Say whether a body holds what the two systems answer in two ways, as a page announces."""
    written = json.dumps(body)
    return any(re.search(each.pattern, written) for each in DIFFERENT)
