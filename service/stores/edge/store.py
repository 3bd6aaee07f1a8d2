"""The embedded Qdrant as a ``VectorStore``: an async front, engine processes behind it.

Collections are spread over the processes by a hash of their name. The data directory is locked by a file descriptor
that every process inherits, so that it stays locked until the last one has ended, whatever killed the front.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from service.errors import ConfigurationError, RequestError
from service.model.operations import Operation, UpdateResult
from service.model.points import FacetHit, Hit, Page, Record
from service.model.qdrant import (
    AliasOperations,
    CollectionInfo,
    CountRequest,
    CreateCollection,
    FacetRequest,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    UpdateCollection,
)
from service.ports import VectorStore
from service.queries.resolve import resolve
from service.queries.strict.mode import Read
from service.stores.alias_rules import changed_aliases, refuse_alias_name
from service.stores.edge import calls
from service.stores.edge.aliases import AliasFile
from service.stores.edge.channel import Channel, Place
from service.stores.edge.manifest import owner, remove_leftovers
from service.stores.edge.settings import EngineSettings
from service.stores.edge.strict import StrictCollections

T = TypeVar("T")

_LOCK_SECONDS = 30.0
_LOCK_RETRY = 0.05


class EdgeStore:
    """Qdrant's engine over a directory; use it as an async context manager."""

    def __init__(
        self, data_dir: Path, *, processes: int = 2, settings: EngineSettings | None = None
    ) -> None:
        self._data_dir = data_dir
        self._processes = processes
        self._settings = settings or EngineSettings()
        self._channels: list[Channel] = []
        self._aliases = AliasFile(data_dir)
        self._changing = asyncio.Lock()
        self._strict = StrictCollections()
        self._lock: int | None = None

    async def __aenter__(self) -> Self:
        (self._data_dir / "collections").mkdir(parents=True, exist_ok=True)
        self._lock = await _lock(self._data_dir / "lock")
        remove_leftovers(self._data_dir / "collections")
        self._aliases.read()
        self._channels = [
            Channel(Place(self._data_dir, index, self._processes, self._lock, self._settings))
            for index in range(self._processes)
        ]
        try:
            await asyncio.gather(*(channel.open() for channel in self._channels))
            for some in await asyncio.gather(*(one.ask(calls.Strict()) for one in self._channels)):
                for name, limits in some:
                    self._strict.note(name, limits)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Write everything out, end the engine processes and unlock the directory."""
        await asyncio.gather(*(channel.aclose() for channel in self._channels))
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def pids(self) -> list[int]:
        """The engine processes that run."""
        return [channel.pid for channel in self._channels if channel.pid is not None]

    async def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        names = await asyncio.gather(*(channel.ask(calls.Names()) for channel in self._channels))
        return sorted(name for some in names for name in some)

    async def has_collection(self, name: str) -> bool:
        """Say whether the collection exists, or an alias of that name."""
        found = self._aliases.resolve(name)
        return await self._of(found).ask(calls.Has(found))

    async def create_collection(self, name: str, request: CreateCollection) -> bool:
        """Create an empty collection. Raises ``CollectionExists``, and ``WrongInput`` for the name of an alias."""
        async with self._changing:
            refuse_alias_name(name, self._aliases.all)
            created = await self._of(name).ask(calls.Create(name, request))
            self._strict.note(name, request.strict_mode_config)
            return created

    async def update_collection(self, name: str, request: UpdateCollection) -> bool:
        """Change parameters; the vectors are indexed with them in the background."""
        self._strict.note(self._aliases.resolve(name), request.strict_mode_config)
        return await self._ask(name, lambda found: calls.Update(found, request))

    async def delete_collection(self, name: str) -> bool:
        """Drop the collection and its aliases; false when it was not there. An alias is not followed."""
        async with self._changing:
            dropped = await self._of(name).ask(calls.Drop(name))
            self._aliases.forget(name)
            self._strict.forget(name)
            return dropped

    async def collection_info(self, name: str) -> CollectionInfo:
        """Return status, counts, configuration and payload schema."""
        return await self._ask(name, calls.Info)

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        """Return the points that exist, in the request's order, duplicates once."""
        await self._check(collection, request)
        return await self._ask(collection, lambda found: calls.Retrieve(found, request))

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        """Return a page in id order, or in the order of an indexed payload field."""
        await self._check(collection, request)
        return await self._ask(collection, lambda found: calls.Scroll(found, request))

    async def count(self, collection: str, request: CountRequest) -> int:
        """Return the number of points that match."""
        await self._check(collection, request)
        return await self._ask(collection, lambda found: calls.Count(found, request))

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        """Return the best points, best first."""
        await self._check(collection, request)
        try:
            query = await resolve(self, collection, request)
        except RequestError:
            # Without the collection nothing else is wrong with the request.
            await self.collection_info(collection)
            raise
        return await self._ask(collection, lambda found: calls.Query(found, query))

    async def facet(self, collection: str, request: FacetRequest) -> list[FacetHit]:
        """Return the values of a field with their counts, the most frequent first."""
        await self._check(collection, request)
        return await self._ask(collection, lambda found: calls.Facet(found, request))

    async def aliases(self) -> dict[str, str]:
        """Return the collection that every alias stands for."""
        return dict(self._aliases.all)

    async def change_aliases(self, actions: Sequence[AliasOperations]) -> bool:
        """Make, drop and rename aliases, all or none."""
        async with self._changing:
            there = await self.collections()
            self._aliases.replace(changed_aliases(self._aliases.all, actions, there))
            return True

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:
        """Apply one change; without ``wait`` it is durable but visible only a little later."""
        await self._check(collection, operation)
        return await self._ask(collection, lambda found: calls.Apply(found, operation, wait))

    async def _check(self, name: str, asked: Read | Operation) -> None:
        """Raise what strict mode says to a request."""
        found = self._aliases.resolve(name)
        if found in self._strict:
            described = await self._of(found).ask(calls.Describe(found))
            self._strict.check(found, described, asked)

    async def _ask(self, name: str, call: Callable[[str], calls.Call[T]]) -> T:
        """Ask the collection that a name or an alias stands for."""
        found = self._aliases.resolve(name)
        return await self._of(found).ask(call(found))

    def _of(self, collection: str) -> Channel:
        return self._channels[owner(collection, self._processes)]


async def _lock(path: Path) -> int:
    """Return a descriptor that locks the directory; waits for processes of an earlier run to end."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = asyncio.get_running_loop().time() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() > deadline:
                os.close(descriptor)
                message = f"the data directory {path.parent} is in use by another process"
                raise ConfigurationError(message) from None
            await asyncio.sleep(_LOCK_RETRY)
        else:
            return descriptor


_: type[VectorStore] = EdgeStore
