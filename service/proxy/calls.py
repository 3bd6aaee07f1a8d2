"""What a request to the Qdrant API is, read from its method and path alone."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote, unquote

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
    VECTOR = "vector"
    """A named vector that is made or removed."""
    STORAGE = "storage"
    """How a collection is kept: its snapshots, shards, peers, optimizers, aliases. No point changes."""
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
_STORED = frozenset({"aliases", "cluster", "memory", "optimizations", "shards", "snapshots"})
_READ_PREFIXES = ("points/query/", "points/search/", "points/recommend", "points/discover")
_VECTORS = "vectors"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_KNOWN = 200
"""Characters of a path that is worth remembering: those of searches are short, and few."""
_COLLECTION_KINDS = {"PUT": Kind.CREATE, "PATCH": Kind.UPDATE, "DELETE": Kind.DROP}


@dataclass(frozen=True, slots=True)
class Call:
    """A classified request. ``suffix`` is the encoded path below the collection, without slashes around it."""

    kind: Kind
    method: str
    collection: str = ""
    suffix: str = ""

    @property
    def may_repeat(self) -> bool:
        """Whether asking twice is the same as asking once."""
        if self.method in _SAFE_METHODS:
            return True
        return self.kind in {Kind.SEARCH, Kind.READ}


def classify(method: str, path: str) -> Call:
    """Classify a request; ``path`` is percent-encoded, without the query string.

    However a path is spelt, a router in front of Qdrant or in it may read it as the plain one: a doubled slash or an
    encoded letter must not lead a write around the mirror.
    """
    return _known(method, path) if len(path) <= _LONGEST_KNOWN else _classified(method, path)


@lru_cache(maxsize=1024)
def _known(method: str, path: str) -> Call:
    return _classified(method, path)


def _classified(method: str, path: str) -> Call:
    first, name, *rest = (*_segments(path), "", "")
    if first != "collections":
        return Call(Kind.SERVICE, method)
    if not name:
        return Call(Kind.LIST if method == "GET" else Kind.SERVICE, method)
    suffix = "/".join(rest).rstrip("/")
    if name == "aliases" and method == "POST" and not suffix:
        return Call(Kind.ALIASES, method)
    return Call(_kind(method, suffix), method, unquote(name), suffix)


def _segments(path: str) -> list[str]:
    segments = [segment for segment in path.split("/") if segment]
    if "%" not in path:
        return segments
    return [quote(unquote(segment), safe="") for segment in segments]


def _kind(method: str, suffix: str) -> Kind:
    if (method, suffix) in _SEARCHES:
        return Kind.SEARCH
    if _is_points_write(method, suffix):
        return Kind.WRITE
    if not suffix and method in _COLLECTION_KINDS:
        return _COLLECTION_KINDS[method]
    if _is_storage(method, suffix.split("/")):
        return Kind.STORAGE
    if (method, suffix) in _READS or method in _SAFE_METHODS or suffix.startswith(_READ_PREFIXES):
        return Kind.READ
    if suffix == "index" or suffix.startswith("index/"):
        return Kind.INDEX
    if suffix.startswith(f"{_VECTORS}/") and method in {"PUT", "DELETE"}:
        return Kind.VECTOR
    return Kind.REPLACE


def _is_storage(method: str, segments: list[str]) -> bool:
    """Say whether a request looks at how a collection is kept, or makes or drops a snapshot or an empty shard key."""
    match method, segments:
        case _, [first, *_] if method in _SAFE_METHODS:
            return first in _STORED
        case "POST", ["snapshots"] | ["shards", _, "snapshots"]:
            return True
        case "DELETE", ["snapshots", _] | ["shards", _, "snapshots", _]:
            return True
        case _:
            return (method, segments) == ("PUT", ["shards"])


def _is_points_write(method: str, suffix: str) -> bool:
    if suffix != "points" and not suffix.startswith("points/"):
        return False
    route = (method, suffix.removeprefix("points"))
    return route in WRITE_ROUTES or route == BATCH_ROUTE
