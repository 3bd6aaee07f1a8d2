"""Ids as requests name them."""

from uuid import UUID

import pytest

from service.errors import MalformedBody
from service.translate.point_ids import point_id_of


def test_an_id_has_one_spelling() -> None:
    """Every way to write a UUID is the same point."""
    assert point_id_of("{00000000-0000-0000-0000-00000000000A}") == f"{UUID(int=10)}"
    assert point_id_of(7) == 7


def test_what_is_no_id_is_a_matter_of_format() -> None:
    """With Qdrant's text."""
    with pytest.raises(MalformedBody, match=r"value 1\.0 is not a valid point ID"):
        point_id_of(1.0)
