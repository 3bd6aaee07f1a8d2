"""The peer of the whole API: an ASGI handler that does nothing but run one statement and print its rows.

``python -m tests.bench.bare <DSN> <port> <file with the statement>``; the statement takes the vector alone and gives
``key``, ``score``, ``version`` and ``payload`` (as ``jsonb_send`` has it).
"""

import sys
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import orjson
import uvicorn
from pgvector import Vector
from pgvector.asyncpg import register_vector
from starlette.types import Receive, Scope, Send

_CONNECTIONS = 4


class Bare:
    """The application; it connects at the first request."""

    def __init__(self, dsn: str, statement: str) -> None:
        self._dsn = dsn
        self._statement = statement
        self._pool: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a search as Qdrant would (ASGI)."""
        body = b""
        more = scope["method"] == "POST"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = orjson.dumps(await self._searched(body) if body else {})
        length = str(len(answer)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _searched(self, body: bytes) -> dict[str, Any]:
        vector = Vector(np.array(orjson.loads(body)["query"], dtype=np.float32))
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                self._dsn, min_size=1, max_size=_CONNECTIONS, init=register_vector
            )
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(self._statement, vector)
        points = [
            {
                "id": int.from_bytes(row["key"][-8:], "big"),
                "version": row["version"],
                "score": row["score"],
                "payload": orjson.Fragment(row["payload"][1:]),
            }
            for row in rows
        ]
        return {"result": {"points": points}, "status": "ok", "time": 0.0}


if __name__ == "__main__":
    _, dsn, port, file = sys.argv
    uvicorn.run(
        Bare(dsn, Path(file).read_text()),
        port=int(port),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
