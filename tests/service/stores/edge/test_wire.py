"""Frames: values survive any cutting of the stream, and errors survive at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import (
    InvalidBody,
    PointNotFound,
    SourceUnavailable,
    StoreAnswered,
    Unsupported,
    VecferryError,
    WrongInput,
)
from service.stores.edge.wire import Failure, Reply, Unpacker, pack

ERRORS = [
    WrongInput("no"),
    InvalidBody("a.b", "too small"),
    PointNotFound("No point with id 3 found"),
    Unsupported("filter.must[0]"),
    StoreAnswered(500, b"{}"),
    SourceUnavailable("went away", may_have_applied=False),
]


@given(values=st.lists(st.binary(max_size=300), max_size=5), pieces=st.integers(1, 400))
def test_any_cutting_gives_the_same_values(values: list[bytes], pieces: int) -> None:
    """However the bytes arrive, every value comes out once and in order."""
    stream = b"".join(pack(Reply(number, value)) for number, value in enumerate(values))
    unpacker = Unpacker()
    arrived: list[Reply] = []
    for at in range(0, len(stream), pieces):
        arrived += unpacker.feed(stream[at : at + pieces])
    assert [(reply.number, reply.value) for reply in arrived] == list(enumerate(values))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_arrive_as_they_were(error: VecferryError) -> None:
    """Type, text and attributes are the same on the other side."""
    (reply,) = Unpacker().feed(pack(Reply(1, Failure.of(error))))
    rebuilt = reply.value.rebuild()
    assert type(rebuilt) is type(error)
    assert str(rebuilt) == str(error)
    assert vars(rebuilt) == vars(error)
