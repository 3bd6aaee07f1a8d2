"""The cases of searching and reading on Postgres: the whole API, the plans, Qdrant beside it, pages."""

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import cycle
from statistics import quantiles
from typing import Any

import asyncpg
import orjson
from pgvector.asyncpg import register_vector

from service.model.ids import encode_key
from service.model.points import FloatArray
from service.model.queries import ByVector, Nearest
from service.queries.leaves import Selection
from service.stores.postgres import rows
from service.stores.postgres.candidates import Search
from service.stores.postgres.database import Connection
from service.stores.postgres.estimates import Estimates
from service.stores.postgres.nearest import chosen, nearest, search_of, statement
from service.stores.postgres.plan import MOST_EF, Graph, Plan, Reason, Scan
from service.stores.postgres.ranked import hits
from service.stores.postgres.shapes import Shape, shape
from tests.bench.alone import NAME, Alone, alone, beside
from tests.bench.corpus import POINTS, Filtered, clustered, filters
from tests.bench.measure import Better, Case, Measure, Pair
from tests.bench.rig import BenchFailed, Rig
from tests.bench.wire import Wire
from tests.processes import free_port, running, wait_for_url

_LIMIT = 10
_PAGE = 1_000
_RECALL = 0.99
_QUERIES = 40
_TIMED = 20
_TIMED_FOR_TAIL = 100
_ANY = float("inf")
_BARE = Shape(None, None)
_PLANS: tuple[Plan, ...] = (
    Scan(Reason.ASKED),
    Scan(Reason.ASKED, collected=True),
    *(Graph(Reason.MANY, ef, 40_000) for ef in (40, 100, 200, 400, MOST_EF)),
)

Request = Callable[[], Awaitable[object]]


@asynccontextmanager
async def _bare_sql(system: Alone) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(system.dsn)
    await register_vector(connection)
    try:
        yield connection
    finally:
        await connection.close()


async def _plain_statement(system: Alone) -> str:
    """Return the statement that a plain search runs; it takes the vector alone."""
    async with system.database.connection() as conn:
        tables = await system.tables(conn)
        selection = Selection(limit=_LIMIT, with_payload=True)
        search = search_of(tables, ByVector(Nearest(clustered(1, seed=3)[0])), selection)
        plan = await chosen(conn, search, Estimates())
        if not isinstance(plan, Graph):
            message = f"a plain search is not answered by the index: {plan.reason}"
            raise BenchFailed(message)
        text, _ = statement(
            search, plan, shape(tables, with_payload=True, with_vector=None)
        ).render()
        return text


def _bodies(**also: object) -> list[bytes]:
    """Return the bodies of searches for vectors that are not in the corpus."""
    option = orjson.OPT_SERIALIZE_NUMPY
    return [
        orjson.dumps(
            {"query": vector, "limit": _LIMIT, "with_payload": True, **also}, option=option
        )
        for vector in clustered(200, seed=3)
    ]


@asynccontextmanager
async def _against_bare_handler(rig: Rig) -> AsyncIterator[Pair]:
    """The whole API, and a handler without one, over the same statement."""
    system = await alone(rig)
    file = rig.directory / "statement.sql"
    file.write_text(await _plain_statement(system))
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.bare"]
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(
            running("bare", [system.dsn, str(port), str(file)], {}, rig.directory, command=command)
        )
        await wait_for_url(bare, f"http://127.0.0.1:{port}")
        ours = await stack.enter_async_context(
            Wire.to(f"{system.url}/collections/{NAME}/points/query")
        )
        peer = await stack.enter_async_context(Wire.to(f"http://127.0.0.1:{port}/"))
        body = _bodies()[0]
        _refuse_difference(await ours.post(body), await peer.post(body))
        yield Pair(_rate(_posting(ours, _bodies())), _rate(_posting(peer, _bodies())))


@asynccontextmanager
async def _against_bare_sql(rig: Rig) -> AsyncIterator[Pair]:
    """The whole API, and the statement alone from a process that does nothing else."""
    system = await alone(rig)
    text = await _plain_statement(system)
    vectors = cycle(clustered(200, seed=3))
    url = f"{system.url}/collections/{NAME}/points/query"
    async with Wire.to(url) as ours, _bare_sql(system) as connection:
        yield Pair(
            _rate(_posting(ours, _bodies())), _rate(lambda: connection.fetch(text, next(vectors)))
        )


def _beside_qdrant(
    wanted: Filtered | None, share: float
) -> Callable[[Rig], AbstractAsyncContextManager[Pair]]:
    """Return the same searches over HTTP to vecferry alone and to the embedded Qdrant."""

    @asynccontextmanager
    async def set_up(rig: Rig) -> AsyncIterator[Pair]:
        system, qdrant = await alone(rig), await beside(rig)
        also = {} if wanted is None else {"filter": wanted.filter.model_dump(exclude_none=True)}
        bodies = _bodies(**also)
        url = f"{system.url}/collections/{NAME}/points/query"
        async with Wire.to(url) as ours, Wire.to(f"{qdrant}/points/query") as peer:
            yield Pair(
                _percentile(_posting(ours, bodies), share, _TIMED_FOR_TAIL),
                _percentile(_posting(peer, bodies), share, _TIMED_FOR_TAIL),
            )

    return set_up


def _filtered(wanted: Filtered) -> Callable[[Rig], AbstractAsyncContextManager[Pair]]:
    """Return our choice of a plan against the best of all that reach the recall."""

    @asynccontextmanager
    async def set_up(rig: Rig) -> AsyncIterator[Pair]:
        system = await alone(rig)
        queries = clustered(_QUERIES, seed=4)
        async with system.database.connection() as conn:
            tried = Tried(conn, await _searches(conn, system, wanted, queries))
            plans = [plan for plan in _PLANS if await tried.recall(plan) >= _RECALL]
            estimates = Estimates()
            given = cycle(tried.searches)

            async def ours() -> object:
                search = next(given)
                by = ByVector(Nearest(search.query.value.to_numpy()))  # type: ignore[attr-defined]  # a Vector
                return await nearest(conn, search.tables, by, search.selection, estimates)

            async def best() -> float:
                return min([await _percentile(tried.by(plan), 0.5)() for plan in plans])

            yield Pair(_percentile(ours, 0.5), best)

    return set_up


def _recall(wanted: Filtered) -> Callable[[Rig], AbstractAsyncContextManager[Pair]]:
    """Return the recall of what our choice answers; its peer is the scan's, which is 1."""

    @asynccontextmanager
    async def set_up(rig: Rig) -> AsyncIterator[Pair]:
        system = await alone(rig)
        queries = clustered(_QUERIES, seed=4)
        async with system.database.connection() as conn:
            tried = Tried(conn, await _searches(conn, system, wanted, queries))

            async def ours() -> float:
                plan = await chosen(conn, tried.searches[0], Estimates())
                return await tried.recall(plan)

            yield Pair(ours, lambda: tried.recall(Scan(Reason.ASKED)))

    return set_up


async def _searches(
    conn: Connection, system: Alone, wanted: Filtered, queries: FloatArray
) -> list[Search]:
    tables = await system.tables(conn)
    selection = Selection(limit=_LIMIT, filter=wanted.filter)
    return [search_of(tables, ByVector(Nearest(query)), selection) for query in queries]


class Tried:
    """Searches that differ in the vector, done by one plan or another."""

    def __init__(self, conn: Connection, searches: Sequence[Search]) -> None:
        self._conn = conn
        self.searches = searches
        self._truth: list[set[object]] | None = None

    async def recall(self, plan: Plan) -> float:
        """Return which part of the truly best points the plan finds."""
        if self._truth is None:
            self._truth = [await self._found(each, Scan(Reason.ASKED)) for each in self.searches]
        found = [await self._found(search, plan) for search in self.searches]
        common = sum(len(a & b) for a, b in zip(found, self._truth, strict=True))
        return common / max(1, sum(map(len, self._truth)))

    def by(self, plan: Plan) -> Request:
        """Return what does the next search by this plan."""
        given = cycle(self.searches)
        return lambda: rows.fetch(self._conn, statement(next(given), plan, _BARE))

    async def _found(self, search: Search, plan: Plan) -> set[object]:
        found = await rows.fetch(self._conn, statement(search, plan, _BARE))
        return {hit.id for hit in hits(found, _BARE)}


def _page(*, with_vector: bool) -> Callable[[Rig], AbstractAsyncContextManager[Pair]]:
    """Return pages through the whole API against the SELECT that reads the same columns as bytes."""

    @asynccontextmanager
    async def set_up(rig: Rig) -> AsyncIterator[Pair]:
        system = await alone(rig)
        async with system.database.connection() as conn:
            tables = await system.tables(conn)
        vector = tables.vectors[""]
        column = f", {vector.extension}.vector_send(v.embedding)" if with_vector else ""
        join = f" LEFT JOIN {vector.table.quoted()} AS v ON v.key = p.key" if with_vector else ""
        text = (
            f"SELECT p.key, pg_catalog.jsonb_send(p.payload){column}"
            f" FROM {tables.points.quoted()} AS p{join}"
            f" WHERE NOT p.deleted AND p.key >= $1 ORDER BY p.key LIMIT {_PAGE + 1}"
        )
        starts = cycle(range(0, POINTS - _PAGE, _PAGE))
        url = f"{system.url}/collections/{NAME}/points/scroll"

        def body() -> bytes:
            asked = {"offset": next(starts), "limit": _PAGE, "with_vector": with_vector}
            return orjson.dumps(asked)

        async with Wire.to(url) as wire, _bare_sql(system) as connection:
            yield Pair(
                _rate(lambda: wire.post(body())),
                _rate(lambda: connection.fetch(text, encode_key(next(starts)))),
            )

    return set_up


def _posting(wire: Wire, bodies: Sequence[bytes]) -> Request:
    given = cycle(bodies)
    return lambda: wire.post(next(given))


def _rate(request: Request) -> Measure:
    """Return a measure of requests per second, one at a time."""

    async def measure() -> float:
        return _TIMED / sum(await _seconds(request, _TIMED))

    return measure


def _percentile(request: Request, share: float, requests: int = _TIMED) -> Measure:
    """Return a measure of milliseconds that this share of the requests stays below."""

    async def measure() -> float:
        seconds = await _seconds(request, requests)
        return quantiles(seconds, n=100, method="inclusive")[round(share * 100) - 1] * 1_000

    return measure


async def _seconds(request: Request, requests: int) -> list[float]:
    taken = []
    for _ in range(requests):
        began = time.perf_counter()
        await request()
        taken.append(time.perf_counter() - began)
    return taken


def _refuse_difference(ours: bytes, peer: bytes) -> None:
    """Refuse to compare two sides that do not do the same work."""
    answers = [orjson.loads(answer)["result"]["points"] for answer in (ours, peer)]
    seen = [[(hit["id"], hit["payload"]) for hit in answer] for answer in answers]
    if seen[0] != seen[1] or len(seen[0]) != _LIMIT:
        message = "vecferry and the bare handler answer differently"
        raise BenchFailed(message)


def _case(
    name: str, peer: str, set_up: Callable[[Rig], AbstractAsyncContextManager[Pair]], **also: Any
) -> Case[Rig]:
    given: dict[str, Any] = {
        "unit": "ms",
        "better": Better.LOWER,
        "goal": _ANY,
        "rounds": 20,
    } | also
    return Case(area="pgvector", name=name, peer_name=peer, set_up=set_up, **given)


_RATE = {"unit": "requests/s", "better": Better.HIGHER}

CASES: tuple[Case[Rig], ...] = (
    _case(
        "search through the whole API",
        "a bare ASGI handler that runs the same SQL",
        _against_bare_handler,
        **_RATE,
        goal=0.75,
    ),
    _case(
        "search through the whole API, beside the SQL",
        "the same SQL alone",
        _against_bare_sql,
        **_RATE,
        goal=0.0,
    ),
    *(
        _case(
            f"filtered search, {wanted.name}",
            f"the best plan of recall ≥ {_RECALL}",
            _filtered(wanted),
            goal=3.0,
            rounds=5,
        )
        for wanted in filters()
    ),
    *(
        _case(
            f"recall@{_LIMIT}, {wanted.name}",
            "the exact scan",
            _recall(wanted),
            unit="",
            better=Better.HIGHER,
            goal=_RECALL,
            rounds=1,
        )
        for wanted in filters()
    ),
    _case("page of 1,000 points", "the bare SELECT", _page(with_vector=False), **_RATE, goal=0.5),
    _case(
        "page of 1,000 points with vectors",
        "the bare SELECT",
        _page(with_vector=True),
        **_RATE,
        goal=0.25,
    ),
    *(
        _case(
            f"search over HTTP{name}, {label}",
            "the embedded Qdrant",
            _beside_qdrant(wanted, share),
            rounds=10,
        )
        for wanted, name in [
            (None, ""),
            *(
                (each, f", filter {each.name}")
                for each in filters()
                if each.share in {0.001, 0.01, 0.1, 0.4}
            ),
        ]
        for label, share in (("p50", 0.5), ("p99", 0.99))
    ),
)
