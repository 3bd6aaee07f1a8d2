"""Receipts of verifications below ``/v1/control/receipts``."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response

from backfill.receipt import MOST_LISTED
from backfill.receipts import Receipts
from service.model.ids import decode_key, encode_key, parse_point_id

_MOST_RECEIPTS = 1_000
_MOST_IDS = 10_000
_GONE = (
    f"the ids are gone: they are kept with the newest verifications of a collection that is there; the receipt itself"
    f" lists the first {MOST_LISTED:,}"
)


def receipt_routes(receipts: Receipts, prefix: str) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=prefix)

    @router.get("/receipts")
    async def listed(
        collection: str | None = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_RECEIPTS)] = 100,
    ) -> Response:
        return _json({"receipts": await receipts.listed(collection, limit)})

    @router.get("/receipts/{receipt}")
    async def one(receipt: UUID) -> Response:
        return _json(await _found(receipt))

    @router.get("/receipts/{receipt}/differences")
    async def differences(
        receipt: UUID,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_IDS)] = 1_000,
    ) -> Response:
        await _found(receipt)
        page = await receipts.differences(receipt, after=_key(after), limit=limit)
        if page is None:
            raise HTTPException(410, _GONE)
        return _json(
            {
                "differences": [
                    {"id": decode_key(each.key), "kinds": list(each.kinds)} for each in page
                ],
                "next": decode_key(page[-1].key) if len(page) == limit else None,
            }
        )

    @router.get("/collections/{name}/receipt")
    async def latest(name: str) -> Response:
        found = await receipts.latest(name)
        if found is None:
            raise HTTPException(404, f"`{name}` has no receipt: run `vecferry verify {name}`")
        return _json(found)

    async def _found(receipt: UUID) -> object:
        found = await receipts.get(receipt)
        if found is None:
            raise HTTPException(404, f"there is no receipt {receipt}")
        return found

    return router


def _key(after: str | None) -> bytes | None:
    """Return the key behind which a page begins. An id is written as in JSON, without quotes."""
    if after is None:
        return None
    try:
        return encode_key(parse_point_id(int(after) if after.isdecimal() else after))
    except ValueError as error:
        raise HTTPException(422, f"after: {error}") from None


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
