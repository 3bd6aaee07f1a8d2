"""Point ids as clients write them."""

import pytest

from service.model.ids import parse_point_id

_UUID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"


@pytest.mark.parametrize("value", [True, False, -1, 2**64, 1.0, "x", "1", None, [1]])
def test_what_is_no_id(value: object) -> None:
    """An integer of 64 bits without a sign, or a UUID; true is not 1."""
    with pytest.raises(ValueError, match="is not a valid point ID"):
        parse_point_id(value)


@pytest.mark.parametrize("value", [0, 2**64 - 1])
def test_an_integer_stays_itself(value: int) -> None:
    """All of 64 bits."""
    assert parse_point_id(value) == value


@pytest.mark.parametrize(
    "value", [_UUID, _UUID.upper(), _UUID.replace("-", ""), f"{{{_UUID}}}", f"urn:uuid:{_UUID}"]
)
def test_a_uuid_has_one_spelling_here(value: str) -> None:
    """However it was written."""
    assert parse_point_id(value) == _UUID
