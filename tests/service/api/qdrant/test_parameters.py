"""Names and query parameters."""

import pytest

from service.api.qdrant.parameters import (
    FORBIDDEN,
    READ,
    SCHEMA,
    WRITE,
    Parameters,
    check_collection_name,
    parse_parameters,
)
from service.errors import InvalidBody, RequestError


@pytest.mark.parametrize("name", ["a", "user_1_transcriptions", "ä b.c-d", "n" * 255])
def test_good_names(name: str) -> None:
    """A name is returned as it is."""
    assert check_collection_name(name, is_new=True) == name


@pytest.mark.parametrize("name", ["", "n" * 256, *(f"a{character}b" for character in FORBIDDEN)])
def test_bad_names(name: str) -> None:
    """Names that are empty, too long or not fit for a file system are 422."""
    with pytest.raises(InvalidBody, match="Validation error in path parameters"):
        check_collection_name(name, is_new=True)


@pytest.mark.parametrize("character", FORBIDDEN)
def test_older_collections_may_have_any_name(character: str) -> None:
    """Qdrant refuses some characters only where a collection is made."""
    assert check_collection_name(f"a{character}", is_new=False) == f"a{character}"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, Parameters()),
        ({"wait": "false"}, Parameters()),
        (
            {"wait": "true", "ordering": "medium", "timeout": "3", "x": "y"},
            Parameters(wait=True, timeout=3),
        ),
        ({"consistency": "2"}, Parameters()),
        ({"consistency": "majority"}, Parameters()),
        ({"consistency": ""}, Parameters()),
    ],
)
def test_good_parameters(query: dict[str, str], expected: Parameters) -> None:
    """Known parameters in their range; unknown ones are ignored."""
    assert parse_parameters(query) == expected


def test_what_an_endpoint_does_not_know_is_ignored() -> None:
    """A wrong value of a parameter of other endpoints is nobody's business."""
    assert parse_parameters({"wait": "1", "timeout": "2"}, READ) == Parameters(timeout=2)


@pytest.mark.parametrize(
    ("query", "known", "status", "text"),
    [
        ({"wait": "1"}, WRITE, 400, "provided string was not `true` or `false`"),
        (
            {"ordering": "strict"},
            WRITE,
            400,
            "unknown variant `strict`, expected one of `weak`, `medium`, `strong`",
        ),
        (
            {"consistency": "most"},
            READ,
            400,
            "failed to deserialize read consistency query parameter value",
        ),
        (
            {"consistency": "0"},
            READ,
            400,
            "failed to deserialize read consistency query parameter value",
        ),
        ({"timeout": "soon"}, READ, 400, "invalid digit found in string"),
        ({"timeout": "0"}, READ, 400, "invalid value: integer `0`, expected a nonzero u64"),
        ({"timeout": "0"}, SCHEMA, 422, "[timeout: value 0 invalid, must be 1 or larger]"),
    ],
)
def test_bad_parameters(
    query: dict[str, str], known: frozenset[str], status: int, text: str
) -> None:
    """The texts are those of Qdrant's parser; a zero is a wrong type in one place and out of range in another."""
    with pytest.raises(RequestError) as caught:
        parse_parameters(query, known)
    what = "Validation" if status == 422 else "Deserialize"
    assert caught.value.status == status
    assert str(caught.value) == f"{what} error in query parameters: {text}"
