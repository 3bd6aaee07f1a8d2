"""What a request is: every route of the API that is handled in its own way, and every spelling of it."""

import pytest

from service.proxy.calls import Call, Kind, classify

CASES = [
    ("GET", "/", Kind.SERVICE, "", ""),
    ("GET", "/telemetry", Kind.SERVICE, "", ""),
    ("GET", "/cluster", Kind.SERVICE, "", ""),
    ("GET", "/aliases", Kind.SERVICE, "", ""),
    ("POST", "/snapshots", Kind.SERVICE, "", ""),
    ("GET", "/collectionsx/c", Kind.SERVICE, "", ""),
    ("GET", "/collections", Kind.LIST, "", ""),
    ("GET", "/collections/", Kind.LIST, "", ""),
    ("HEAD", "/collections", Kind.SERVICE, "", ""),
    ("POST", "/collections/aliases", Kind.ALIASES, "", ""),
    ("POST", "/collections/aliases/", Kind.ALIASES, "", ""),
    ("PUT", "/collections/aliases", Kind.CREATE, "aliases", ""),
    ("GET", "/collections/c", Kind.READ, "c", ""),
    ("HEAD", "/collections/c", Kind.READ, "c", ""),
    ("OPTIONS", "/collections/c/points", Kind.READ, "c", "points"),
    ("PUT", "/collections/c", Kind.CREATE, "c", ""),
    ("PATCH", "/collections/c", Kind.UPDATE, "c", ""),
    ("DELETE", "/collections/c", Kind.DROP, "c", ""),
    ("POST", "/collections/c", Kind.REPLACE, "c", ""),
    ("GET", "/collections/c/exists", Kind.READ, "c", "exists"),
    ("GET", "/collections/c/aliases", Kind.STORAGE, "c", "aliases"),
    ("GET", "/collections/c/points/7", Kind.READ, "c", "points/7"),
    ("POST", "/collections/c/points", Kind.READ, "c", "points"),
    ("POST", "/collections/c/points/scroll", Kind.READ, "c", "points/scroll"),
    ("POST", "/collections/c/points/count", Kind.READ, "c", "points/count"),
    ("POST", "/collections/c/facet", Kind.READ, "c", "facet"),
    ("POST", "/collections/c/points/query", Kind.SEARCH, "c", "points/query"),
    ("POST", "/collections/c/points/search", Kind.SEARCH, "c", "points/search"),
    ("POST", "/collections/c/points/query/batch", Kind.READ, "c", "points/query/batch"),
    ("POST", "/collections/c/points/query/groups", Kind.READ, "c", "points/query/groups"),
    ("POST", "/collections/c/points/search/matrix/pairs", Kind.READ, "c", None),
    ("POST", "/collections/c/points/recommend", Kind.READ, "c", "points/recommend"),
    ("POST", "/collections/c/points/discover/batch", Kind.READ, "c", "points/discover/batch"),
    ("PUT", "/collections/c/points", Kind.WRITE, "c", "points"),
    ("POST", "/collections/c/points/delete", Kind.WRITE, "c", "points/delete"),
    ("PUT", "/collections/c/points/vectors", Kind.WRITE, "c", "points/vectors"),
    ("POST", "/collections/c/points/vectors/delete", Kind.WRITE, "c", "points/vectors/delete"),
    ("POST", "/collections/c/points/payload", Kind.WRITE, "c", "points/payload"),
    ("PUT", "/collections/c/points/payload", Kind.WRITE, "c", "points/payload"),
    ("POST", "/collections/c/points/payload/delete", Kind.WRITE, "c", "points/payload/delete"),
    ("POST", "/collections/c/points/payload/clear", Kind.WRITE, "c", "points/payload/clear"),
    ("POST", "/collections/c/points/batch", Kind.WRITE, "c", "points/batch"),
    ("PUT", "/collections/c/index", Kind.INDEX, "c", "index"),
    ("DELETE", "/collections/c/index/a.b", Kind.INDEX, "c", "index/a.b"),
    ("POST", "/collections/c/snapshots", Kind.STORAGE, "c", "snapshots"),
    ("GET", "/collections/c/snapshots/s", Kind.STORAGE, "c", "snapshots/s"),
    ("POST", "/collections/c/shards/1/snapshots", Kind.STORAGE, "c", "shards/1/snapshots"),
    ("GET", "/collections/c/cluster", Kind.STORAGE, "c", "cluster"),
    ("GET", "/collections/c/optimizations", Kind.STORAGE, "c", "optimizations"),
    ("PUT", "/collections/c/shards", Kind.STORAGE, "c", "shards"),
    ("POST", "/collections/c/shards/delete", Kind.REPLACE, "c", "shards/delete"),
    ("PUT", "/collections/c/shards/1/snapshots/recover", Kind.REPLACE, "c", None),
    ("PUT", "/collections/c/snapshots/recover", Kind.REPLACE, "c", "snapshots/recover"),
    ("POST", "/collections/c/snapshots/upload", Kind.REPLACE, "c", "snapshots/upload"),
    ("DELETE", "/collections/c/snapshots/s", Kind.STORAGE, "c", "snapshots/s"),
    ("PUT", "/collections/c/vectors/v", Kind.VECTOR, "c", "vectors/v"),
    ("DELETE", "/collections/c/vectors/a%2Fb", Kind.VECTOR, "c", "vectors/a%2Fb"),
    ("POST", "/collections/c/vectors/v", Kind.REPLACE, "c", "vectors/v"),
    ("POST", "/collections/c/cluster", Kind.REPLACE, "c", "cluster"),
    ("POST", "/collections/c/points/of-tomorrow", Kind.REPLACE, "c", "points/of-tomorrow"),
]


@pytest.mark.parametrize(("method", "path", "kind", "collection", "suffix"), CASES)
def test_a_route_has_a_kind(
    method: str, path: str, kind: Kind, collection: str, suffix: str | None
) -> None:
    """Every route is of the kind that its handling needs; what is not known counts as a replacement."""
    call = classify(method, path)
    assert (call.kind, call.collection) == (kind, collection)
    assert suffix is None or call.suffix == suffix


@pytest.mark.parametrize(
    "path",
    [
        "/collections/a%20b/points/delete",
        "/collections/a%20b/points/delete/",
        "//collections/a%20b/points/delete",
        "/collections//a%20b/points/delete",
        "/collections/a%20b//points//delete",
        "/%63ollections/a%20b/points/delete",
        "/collections/%61%20b/%70oints/dele%74e",
    ],
)
def test_no_spelling_leads_a_write_around_the_mirror(path: str) -> None:
    """Doubled slashes and needless encoding are read as the plain path."""
    assert classify("POST", path) == Call(Kind.WRITE, "POST", "a b", "points/delete")


def test_encoded_slashes_stay_inside_their_segment() -> None:
    """A name or key with a slash or a question mark is one segment, and encoded again in the suffix."""
    call = classify("DELETE", "/collections/a%2Fb/index/x%2fy%3Fz")
    assert call == Call(Kind.INDEX, "DELETE", "a/b", "index/x%2Fy%3Fz")


@pytest.mark.parametrize(
    ("method", "path", "may_repeat"),
    [
        ("GET", "/telemetry", True),
        ("GET", "/collections", True),
        ("HEAD", "/collections/c", True),
        ("POST", "/collections/c/points/search", True),
        ("POST", "/collections/c/points/scroll", True),
        ("POST", "/collections/c/snapshots", False),
        ("POST", "/snapshots", False),
        ("PUT", "/collections/c/points", False),
        ("POST", "/collections/c/points/delete", False),
        ("DELETE", "/collections/c", False),
        ("PUT", "/collections/c/index", False),
    ],
)
def test_only_what_changes_nothing_may_be_asked_twice(
    method: str, path: str, may_repeat: bool
) -> None:
    """A read is a read by its route, not by its method."""
    assert classify(method, path).may_repeat is may_repeat
