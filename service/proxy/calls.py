"""What a request to the Qdrant API is, read from its method and path alone."""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from service.api.qdrant.kinds import BATCH_ROUTE, WRITE_ROUTES


class Kind(StrEnum):
    """The classes of requests that are handled differently."""

    LIST = "list"
    """The names of all collections."""
    CREATE = "create"
    UPDATE = "update"
    DROP = "drop"
    SEARCH = "search"
    """A single query whose answer can be compared with the other store's."""
    READ = "read"
    WRITE = "write"
    """A change of points."""
    INDEX = "index"
    """A payload index: schema, not data."""
    ALIASES = "aliases"
    """A change of aliases."""
    REPLACE = "replace"
    """Something that changes a collection's data or vectors as a whole, around every point."""
    SERVICE = "service"
    """Everything that belongs to no collection."""


_SEARCHES = {("POST", "points/query"), ("POST", "points/search")}
_READS = {
    ("GET", ""),
    ("GET", "exists"),
    ("POST", "points"),
    ("POST", "points/scroll"),
    ("POST", "points/count"),
    ("POST", "facet"),
}
_READ_PREFIXES = ("points/query/", "points/search/", "points/recommend", "points/discover")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_COLLECTION_KINDS = {"PUT": Kind.CREATE, "PATCH": Kind.UPDATE, "DELETE": Kind.DROP}


@dataclass(frozen=True, slots=True)
class Call:
    """A classified request. ``suffix`` is what follows the collection's name, without slashes around it."""

    kind: Kind
    method: str
    collection: str = ""
    suffix: str = ""


def classify(method: str, path: str) -> Call:
    """Classify a request; ``path`` is percent-encoded, without the query string."""
    parts = path.strip("/").split("/", 2)
    if parts[0] != "collections":
        return Call(Kind.SERVICE, method)
    if len(parts) == 1:
        return Call(Kind.LIST if method == "GET" else Kind.SERVICE, method)
    if parts[1] == "aliases" and method == "POST":
        return Call(Kind.ALIASES, method)
    suffix = parts[2] if len(parts) > 2 else ""  # noqa: PLR2004 - collections / name / rest
    return Call(_kind(method, suffix), method, unquote(parts[1]), suffix)


def _kind(method: str, suffix: str) -> Kind:  # noqa: PLR0911 - one line per class of requests
    if (method, suffix) in _SEARCHES:
        return Kind.SEARCH
    if _is_points_write(method, suffix):
        return Kind.WRITE
    if not suffix and method in _COLLECTION_KINDS:
        return _COLLECTION_KINDS[method]
    if (method, suffix) in _READS or method in _SAFE_METHODS or suffix.startswith(_READ_PREFIXES):
        return Kind.READ
    if suffix == "index" or suffix.startswith("index/"):
        return Kind.INDEX
    if (method, suffix) == ("POST", "snapshots"):
        return Kind.READ
    return Kind.REPLACE


def _is_points_write(method: str, suffix: str) -> bool:
    if suffix != "points" and not suffix.startswith("points/"):
        return False
    route = (method, suffix.removeprefix("points"))
    return route in WRITE_ROUTES or route == BATCH_ROUTE
