"""The text of jsonb as JSON for a client."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stores.postgres.database import Database
from service.stores.postgres.jsontext import exact

NUMBERS = [
    0,
    -1,
    1.5,
    1e19,
    1e20,
    -1e20,
    1e22,
    1.7976931348623157e308,
    5e-324,
    2**64 - 1,
    12345678901234567e10,
]


async def _texts(database: Database, values: list[object]) -> list[bytes]:
    async with database.connection() as conn:
        found = await conn.fetch("SELECT jsonb_send(v) AS v FROM unnest($1::jsonb[]) AS v", values)
    return [row["v"][1:] for row in found]


async def test_numbers_keep_their_type(database: Database) -> None:
    """Beyond 64 bits a number is a float; one of 20 digits that an integer can be stays one."""
    texts = await _texts(database, [{"n": number} for number in NUMBERS])
    for number, text in zip(NUMBERS, exact(texts), strict=True):
        assert orjson.loads(text)["n"] == number
        if abs(number) >= 2**64:
            assert b"e" in text


async def test_other_texts_are_left_alone(database: Database) -> None:
    """Zeros and digits inside strings change nothing."""
    values: list[object] = [{"s": "0000" * 20}, {"s": "é\n"}, {"n": 1e300, "s": "0" * 40}, {}]
    texts = await _texts(database, values)
    assert [orjson.loads(text) for text in exact(texts)] == values
    assert exact(texts)[1] is texts[1]


@given(
    st.lists(
        st.floats(min_value=2**64, max_value=1e300)
        | st.floats(max_value=-(2.0**64), min_value=-1e300)
    )
)
def test_a_float_of_any_size_is_recognised(values: list[float]) -> None:
    """What jsonb writes for it, its digits without an exponent, reads back as the same number of the same type."""
    texts = [b'{"n": %s}' % _digits(value) for value in values]
    for text in exact(texts):
        assert b"e" in text


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("number", [2.0**64, 1e300])
def test_one_float_in_a_large_page_is_recognised(before: int, number: float) -> None:
    """Wherever it stands: a page is looked through by pairs of bytes."""
    other = b'{"s": "%s"}' % (b"x" * 50_000)
    large = b'{"%s": %s}' % (b"k" * before, _digits(number))
    found = exact([other, large, other, large])
    assert found[0] is other
    assert found[1] == found[3] == orjson.dumps({"k" * before: number})


def test_a_page_without_large_numbers_is_left_alone() -> None:
    """Many digits are no reason, be they in a string or with a point among them."""
    texts = [b'{"n": 1.7976931348623157, "s": "%s"}' % (b"0" * 50_000)] * 2
    assert exact(texts) is texts


def _digits(value: float) -> bytes:
    """Its shortest digits, then zeros."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    return (whole + fraction).ljust(int(exponent or 0) + len(whole), "0").encode()
