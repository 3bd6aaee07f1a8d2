"""The key that clients show when Postgres answers."""

import pytest

from service.proxy import access
from tests.service.proxy.asgi import Client, exchange

MISSING = "Must provide an API key or an Authorization bearer token"
WRONG = "Invalid API key or JWT"


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, MISSING),
        ((b"api-key", b""), MISSING),
        ((b"authorization", b"Basic secret"), MISSING),
        ((b"api-key", b"secre"), WRONG),
        ((b"api-key", b"secret "), WRONG),
        ((b"api-key", b"\xff\xfe"), WRONG),
        ((b"authorization", b"Bearer other"), WRONG),
        ((b"api-key", b"secret"), None),
        ((b"authorization", b"bearer secret"), None),
    ],
)
def test_the_key_is_asked_for(header: tuple[bytes, bytes] | None, text: str | None) -> None:
    """Both of Qdrant's headers are read, with its two texts for a missing and a wrong key."""
    given = exchange(Client(), headers=[header] if header else [])
    assert access.refusal(given, "secret") == text


def test_without_a_configured_key_everybody_may_pass() -> None:
    """As in Qdrant."""
    assert access.refusal(exchange(Client()), None) is None


def test_a_key_beyond_ascii_is_compared_by_its_bytes() -> None:
    """What arrives is bytes; decoded twice it would never be equal."""
    given = exchange(Client(), headers=[(b"api-key", "schlüssel".encode())])
    assert access.refusal(given, "schlüssel") is None
