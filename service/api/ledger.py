"""The ledger below ``/v1/control/ledger``: its lines in pages, its counts, and what to try again."""

from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from service.protocol.book import LineState
from service.protocol.whole_ledger import WholeLedger

_MOST_LINES = 1_000
_MOST_IDS = 10_000


class RetryRequest(BaseModel):
    """What to try again: intents by id, those of a collection, or with neither all."""

    model_config = ConfigDict(extra="forbid")

    collection: str | None = None
    ids: list[UUID] | None = Field(default=None, min_length=1, max_length=_MOST_IDS)


def ledger_routes(ledger: WholeLedger, prefix: str) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=prefix)

    @router.get("/ledger")
    async def lines(
        collection: str | None = None,
        state: LineState | None = None,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_LINES)] = 100,
    ) -> Response:
        return _json(
            await ledger.page(collection=collection, state=state, after=after, limit=limit)
        )

    @router.get("/ledger/count")
    async def count(collection: str | None = None) -> Response:
        return _json(await ledger.count(collection=collection))

    @router.post("/ledger/retry")
    async def retry(wanted: RetryRequest) -> Response:
        return _json({"retried": await ledger.retry(collection=wanted.collection, ids=wanted.ids)})

    return router


def _json(value: object) -> Response:
    # A page can name hundreds of thousands of ids: written at once, without a model per line. The
    # driver's UUIDs are of a class of their own, hence the default.
    body = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    return Response(body, media_type="application/json")
