"""Where points stand to rings: exact arithmetic decides."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stores.postgres.database import Database

# Far apart and close together, so that doubles alone cannot tell the sides of a line.
_NUMBERS = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(-180, 180, allow_nan=False),
    st.sampled_from((0.1, 0.2, 0.3, 0.7, 1e-300, -1e-300, 5e-324, 1e300)),
    st.integers(-3, 3).map(lambda steps: 0.3 + steps * 2.0**-54),
)


@given(st.lists(_NUMBERS, min_size=6, max_size=6))
async def test_the_side_of_a_line_is_exact(database: Database, numbers: list[float]) -> None:
    """The sign of the determinant in fractions, however small it is."""
    x, y, x1, y1, x2, y2 = map(Fraction, numbers)
    determinant = (x1 - x) * (y2 - y) - (y1 - y) * (x2 - x)
    async with database.connection() as connection:
        side = await connection.fetchval(
            "SELECT vecferry.side_of_line($1, $2, $3, $4, $5, $6)", *numbers
        )
    assert side == (determinant > 0) - (determinant < 0)


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ({"lon": 1, "lat": 1}, 1),
        ({"lon": 0, "lat": 1}, 0),
        ({"lon": 0, "lat": 0}, 0),
        ({"lon": 3, "lat": 1}, -1),
        ({"lon": -1, "lat": 0}, -1),
        ({"lon": 1, "lat": "1"}, None),
        ({"lon": 1}, None),
        ("here", None),
        (None, None),
    ],
)
async def test_the_border_is_neither_inside_nor_outside(
    database: Database, point: object, expected: int | None
) -> None:
    """A square from (0, 0) to (2, 2); what is no point stands nowhere."""
    async with database.connection() as connection:
        side = await connection.fetchval(
            "SELECT vecferry.side_of_ring('{0,0,2,2,0}', '{0,2,2,0,0}', $1)", point
        )
    assert side == expected
