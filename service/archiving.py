"""The stores as ``export``, ``import`` and ``snapshot`` open them: the composition root of commands that run alone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from backfill.archive.destination import Destination, Into
from backfill.archive.manifest import Origin, Subject
from backfill.archive.side import Side
from backfill.within_limits import WithinLimits
from service.config import PREFIX, Settings
from service.errors import ArchiveError, CollectionNotFound, ConfigurationError
from service.patterns import named
from service.ports import PointReader, VectorStore
from service.protocol.description import described
from service.stages import check_alone
from service.stores.postgres import unmirrored
from service.stores.postgres.database import Database
from service.stores.postgres.migrate import migrate
from service.stores.postgres.store import PgStore
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.forward import Forwarder
from service.stores.qdrant.register import QdrantRegister
from service.stores.qdrant.snapshots import QdrantSnapshots
from service.stores.qdrant.store import QdrantStore

_CONNECTIONS = 4
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - an address to listen on is none to connect to


async def matching(store: VectorStore, pattern: str) -> list[str]:
    """Return the collection of exactly this name, else those that it names as a shell pattern, sorted.

    Raises ``CollectionNotFound``.
    """
    found = named(pattern, await store.collections())
    if not found:
        raise CollectionNotFound(pattern)
    return found


@dataclass(frozen=True, slots=True)
class Opened:
    """A store. ``allow`` raises ``StageError`` when a collection must not be written around the proxy now."""

    side: Side
    address: str
    version: str
    store: VectorStore
    allow: Callable[[str], Awaitable[None]]

    @property
    def reader(self) -> PointReader:
        """The store for pages of points: no larger than a collection's strict mode allows."""
        return WithinLimits(self.store)

    @property
    def origin(self) -> Origin:
        """The store as a manifest names it."""
        return Origin(str(self.side), self.address, self.version)

    async def describe(self, name: str) -> Subject:
        """Return what a collection is apart from its points.

        Raises ``CollectionNotFound``, and ``ArchiveError`` for one with custom shard keys: points do not tell them.
        """
        info = await self.store.collection_info(name)
        if info.config.params.sharding_method == "custom":
            message = f"`{name}` has custom shard keys, which an export would lose; take a snapshot instead"
            raise ArchiveError(message)
        found = described(info)
        stand_for = await self.store.aliases()
        aliases = sorted(alias for alias, collection in stand_for.items() if collection == name)
        return Subject(name, found.config, found.payload_schema, aliases)

    def into(self, collection: str) -> Into:
        """Return one of its collections as what an import writes to."""

        async def describe() -> Subject | None:
            try:
                return await self.describe(collection)
            except CollectionNotFound:
                return None

        return Into(
            Destination(str(self.side), self.address, collection),
            self.store,
            describe,
            lambda: self.allow(collection),
        )


@asynccontextmanager
async def opened(
    settings: Settings, side: Side, *, url: str | None, writes: bool = False
) -> AsyncIterator[Opened]:
    """Connect to a store, the settings' one or that at ``url``, and close it at the end.

    Raises ``ConfigurationError`` when neither names one. With ``writes`` the target gets its schema if it lacks it.
    """
    async with AsyncExitStack() as stack:
        if side is Side.TARGET:
            yield await _open_target(stack, settings, url, writes=writes)
        else:
            yield await _open_qdrant(stack, settings, side, url)


async def _open_target(
    stack: AsyncExitStack, settings: Settings, url: str | None, *, writes: bool
) -> Opened:
    given = settings.database_url
    dsn = url or (None if given is None else given.get_secret_value())
    if dsn is None:
        raise _embedded("DATABASE_URL", "Postgres")
    if writes:
        await migrate(dsn)
    database = await Database.open(
        dsn, max_size=_CONNECTIONS, pooled=settings.database_transaction_pooler
    )
    stack.push_async_callback(database.close)
    async with database.connection() as connection:
        number = connection.get_server_version()
    return Opened(
        Side.TARGET,
        shown(dsn),
        f"{number.major}.{number.minor}",
        PgStore(database, on_write=unmirrored.refuse_mirrored),
        lambda name: unmirrored.allow(database, name),
    )


async def _open_qdrant(
    stack: AsyncExitStack, settings: Settings, side: Side, url: str | None
) -> Opened:
    address = url or (_proxy_url(settings) if side is Side.PROXY else settings.qdrant_url)
    if address is None:
        raise _embedded("QDRANT_URL", "Qdrant engine")
    http = _http(stack, settings, address, seconds=settings.qdrant_timeout_seconds)
    register = QdrantRegister(http)

    async def allow(name: str) -> None:
        if side is Side.SOURCE and (record := await register.record(name)) is not None:
            check_alone(name, record.state.stage)

    return Opened(side, shown(address), await http.version(), QdrantStore(http), allow)


@asynccontextmanager
async def snapshots(
    settings: Settings, *, url: str | None, seconds: float
) -> AsyncIterator[tuple[QdrantStore, QdrantSnapshots]]:
    """Connect to a Qdrant for its snapshots; ``seconds`` is how long it may take to make one."""
    address = url or settings.qdrant_url
    if address is None:
        message = "the embedded Qdrant engine has no snapshots; use `vecferry export`"
        raise ArchiveError(message)
    async with AsyncExitStack() as stack:
        http = _http(stack, settings, address, seconds=seconds)
        forwarder = Forwarder(
            address,
            timeout_seconds=settings.qdrant_timeout_seconds,
            max_connections=_CONNECTIONS,
        )
        stack.push_async_callback(forwarder.aclose)
        yield QdrantStore(http), QdrantSnapshots(http, forwarder, api_key=_key(settings))


def shown(url: str) -> str:
    """Return an address without user, password and parameters."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def _http(stack: AsyncExitStack, settings: Settings, url: str, *, seconds: float) -> QdrantHttp:
    http = QdrantHttp(
        url, api_key=_key(settings), timeout_seconds=seconds, max_connections=_CONNECTIONS
    )
    stack.push_async_callback(http.aclose)
    return http


def _key(settings: Settings) -> str | None:
    key = settings.qdrant_api_key
    return key.get_secret_value() if key else None


def _proxy_url(settings: Settings) -> str:
    host = _ANYWHERE.get(settings.host, settings.host)
    return f"http://{host}:{settings.port}"


def _embedded(setting: str, engine: str) -> ConfigurationError:
    return ConfigurationError(
        f"{PREFIX}{setting} is not set: the embedded {engine} belongs to the running vecferry;"
        " go through it (proxy), or give --url"
    )
