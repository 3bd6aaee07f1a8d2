"""Points by their ids."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import NAME, Row, get, post
from tests.parity.data import ids

_ID = ids(8)


def rows() -> Iterator[Row]:
    """One and many, in any spelling."""
    bodies: dict[str, Any] = {
        "plain": {"ids": [1, 2]},
        "order and duplicates": {"ids": [_ID[3], 2, 1, 2, _ID[6]]},
        "missing": {"ids": [999, 1, "00000000-0000-0000-0000-000000000999"]},
        "none": {"ids": []},
        "spelling": {"ids": [_ID[3].upper(), f"urn:uuid:{_ID[7]}", _ID[3].replace("-", "")]},
        "everything": {"ids": _ID, "with_payload": True, "with_vector": True},
        "some payload": {"ids": _ID, "with_payload": ["n", "tags[]"]},
        "not an id": {"ids": ["abc"]},
        "negative": {"ids": [-1]},
        "fraction": {"ids": [1.5]},
        "too large": {"ids": [2**64]},
    }
    for name, body in bodies.items():
        yield post("dense-cosine", name, "points", body)
    for known in (*_ID[:4], "999", "abc", "00000000-0000-0000-0000-000000000999", "1.5", "-1"):
        yield get("dense-cosine", f"one, {known}", f"/collections/{NAME}/points/{known}")
    yield get("named", "one with some vectors", f"/collections/{NAME}/points/2")
    yield get("bare", "one without vectors", f"/collections/{NAME}/points/1")
