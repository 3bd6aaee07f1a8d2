"""The engine's texts as our errors."""

import pytest

from service.errors import (
    MalformedBody,
    PointNotFound,
    StoreAnswered,
    VecferryError,
    WrongInput,
)
from service.stores.edge.failures import engine_errors

CASES: list[tuple[Exception, type[VecferryError], str]] = [
    (Exception("No point with id 9"), PointNotFound, "Not found: No point with id 9 found"),
    (
        Exception("Vector dimension error: expected dim: 4, got 2"),
        WrongInput,
        "Wrong input: Vector dimension error: expected dim: 4, got 2",
    ),
    (
        Exception("Wrong usage of sparse vectors"),
        WrongInput,
        "Wrong input: Conversion between sparse and regular vectors failed",
    ),
    (
        ValueError("invalid JSON path a["),
        MalformedBody,
        "Format error in JSON body: Invalid json path: 'a['",
    ),
    (
        Exception("Validation failed: vector 'x' already exists"),
        WrongInput,
        "Wrong input: Validation failed: vector 'x' already exists",
    ),
    (
        Exception("No appropriate index for faceting: `k`."),
        WrongInput,
        "Wrong input: No appropriate index for faceting: `k`.",
    ),
    (Exception("disk on fire"), StoreAnswered, "Service internal error: disk on fire"),
]


@pytest.mark.parametrize(("raised", "kind", "text"), CASES)
def test_every_failure_has_its_class(
    raised: Exception, kind: type[VecferryError], text: str
) -> None:
    """Class and text are those of Qdrant's answer, the cause is kept."""
    with pytest.raises(kind) as caught, engine_errors():
        raise raised
    assert text in str(caught.value)
    assert caught.value.__cause__ is raised


def test_a_panic_is_an_error_and_an_exit_is_not() -> None:
    """The core's panic does not look like an ``Exception``; an exit of the interpreter stays what it is."""
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(StoreAnswered, match="the engine panicked"), engine_errors():
        raise panic
    with pytest.raises(SystemExit), engine_errors():
        raise SystemExit
