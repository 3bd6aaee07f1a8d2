"""Names and query parameters."""

import pytest

from service.api.qdrant.parameters import (
    FORBIDDEN,
    Parameters,
    check_collection_name,
    parse_parameters,
)
from service.errors import InvalidBody, RequestError


@pytest.mark.parametrize("name", ["a", "user_1_transcriptions", "ä b.c-d", "n" * 255])
def test_good_names(name: str) -> None:
    """A name is returned as it is."""
    assert check_collection_name(name) == name


@pytest.mark.parametrize("name", ["", "n" * 256, *(f"a{character}b" for character in FORBIDDEN)])
def test_bad_names(name: str) -> None:
    """Names that are empty, too long or not fit for a file system are 422."""
    with pytest.raises(InvalidBody, match="Validation error in path parameters"):
        check_collection_name(name)


@pytest.mark.parametrize(
    ("query", "wait"),
    [
        ({}, False),
        ({"wait": "false"}, False),
        ({"wait": "true", "ordering": "medium", "timeout": "3", "x": "y"}, True),
        ({"consistency": "2"}, False),
        ({"consistency": "majority"}, False),
    ],
)
def test_good_parameters(query: dict[str, str], wait: bool) -> None:
    """Known parameters in their range; unknown ones are ignored."""
    assert parse_parameters(query) == Parameters(wait=wait)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"wait": "1"}, 400),
        ({"ordering": "strict"}, 400),
        ({"consistency": "most"}, 400),
        ({"timeout": "soon"}, 400),
        ({"timeout": "0"}, 422),
    ],
)
def test_bad_parameters(query: dict[str, str], status: int) -> None:
    """The error says that it is about the query parameters, and which."""
    with pytest.raises(RequestError, match="in query parameters") as caught:
        parse_parameters(query)
    assert caught.value.status == status
    assert next(iter(query)) in str(caught.value)
