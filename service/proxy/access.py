"""Who may ask when Postgres answers: the key that Qdrant would have asked for."""

import hmac

from service.proxy.exchange import Exchange

_BEARER = "bearer "


def refusal(exchange: Exchange, key: str | None) -> str | None:
    """Return Qdrant's text for a request without the right key, ``None`` when it may pass."""
    if key is None:
        return None
    given = exchange.header(b"api-key") or _bearer(exchange.header(b"authorization"))
    if not given:
        return "Must provide an API key or an Authorization bearer token"
    if not hmac.compare_digest(given.encode("latin-1"), key.encode()):
        return "Invalid API key or JWT"
    return None


def _bearer(value: str | None) -> str | None:
    if value is None or not value.lower().startswith(_BEARER):
        return None
    return value[len(_BEARER) :]
