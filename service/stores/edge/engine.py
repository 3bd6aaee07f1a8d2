"""All collections of one engine process, and the writes that wait for a long rebuild."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import structlog

from service.errors import CollectionExists, CollectionNotFound, Overloaded, VecferryError
from service.model.qdrant import CreateCollection, StrictModeConfig
from service.stores.edge.calls import Apply
from service.stores.edge.collection import Collection
from service.stores.edge.failures import engine_errors, internal
from service.stores.edge.manifest import Manifest, owner
from service.stores.edge.settings import EngineSettings
from service.stores.edge.wire import Failure, Reply, Request

log = structlog.get_logger()


class Engine:
    """The collections that belong to process ``index`` of ``count``."""

    def __init__(
        self, root: Path, index: int, count: int, settings: EngineSettings, lock: int
    ) -> None:
        self._root = root
        self._settings = settings
        self._lock = lock
        self._collections: dict[str, Collection] = {}
        self._broken: dict[str, str] = {}
        self._held: dict[str, deque[Request]] = {}
        for directory in sorted(root.iterdir()):
            name = _name_in(directory)
            if name is not None and owner(name, count) == index:
                self._open(name, directory)

    def _open(self, name: str, directory: Path) -> None:
        try:
            with engine_errors():
                collection = Collection(directory, self._settings, self._lock)
        except VecferryError as error:
            # One damaged collection must not take the others with it.
            log.error("collection_not_opened", collection=name, reason=str(error))  # noqa: TRY400 - its text says it all
            self._broken[name] = str(error)
        else:
            collection.apply_deferred()
            self._collections[name] = collection

    def names(self) -> list[str]:
        """Return the names of all collections, unreadable ones included."""
        return [*self._collections, *self._broken]

    def strict(self) -> list[tuple[str, StrictModeConfig]]:
        """Return the collections that have limits of their own, with these."""
        limits = ((name, each.limits) for name, each in self._collections.items())
        return [(name, given) for name, given in limits if given is not None]

    def collection(self, name: str) -> Collection:
        """Return the collection; raises ``CollectionNotFound``."""
        if name in self._broken:
            raise internal(f"collection `{name}` could not be opened: {self._broken[name]}")
        try:
            return self._collections[name]
        except KeyError:
            raise CollectionNotFound(name) from None

    def create(self, name: str, request: CreateCollection) -> None:
        """Make a collection; raises ``CollectionExists``."""
        if name in self.names():
            raise CollectionExists(name)
        self._collections[name] = Collection.create(
            self._root, name, request, self._settings, self._lock
        )

    def drop(self, name: str) -> bool:
        """Remove a collection; false when it was not there."""
        if name not in self._collections:
            return False
        self._collections.pop(name).drop()
        return True

    def handle(self, request: Request) -> Iterator[Reply]:
        """Run one call; a write may be held until a rebuild has ended, and is answered by a later tick."""
        if isinstance(request.call, Apply) and self._must_wait(request.call.name):
            held = self._held.setdefault(request.call.name, deque())
            if len(held) < self._settings.held_writes:
                held.append(request)
                return
            message = f"{len(held)} writes wait for the index of `{request.call.name}`"
            yield Reply(request.number, Failure.of(Overloaded(message)))
        else:
            yield self._run(request)

    def tick(self) -> Iterator[Reply]:
        """Do what is due in every collection, then the held writes that may run now."""
        for collection in list(self._collections.values()):
            collection.tick(time.monotonic())
        for name in list(self._held):
            held = self._held[name]
            while held and not self._holds_writes(name):
                yield self._run(held.popleft())
            if not held:
                del self._held[name]

    def next_tick(self) -> float | None:
        """Return the seconds until :meth:`tick` has something to do, ``None`` for no end."""
        now = time.monotonic()
        due = [collection.next_tick(now) for collection in self._collections.values()]
        return min((max(0.0, moment - now) for moment in due if moment is not None), default=None)

    def close(self) -> None:
        """Close every collection."""
        for collection in self._collections.values():
            collection.close()

    def _must_wait(self, name: str) -> bool:
        return name in self._held or self._holds_writes(name)

    def _holds_writes(self, name: str) -> bool:
        return name in self._collections and self._collections[name].holds_writes

    def _run(self, request: Request) -> Reply:
        try:
            return Reply(request.number, request.call.run(self))
        except VecferryError as error:
            return Reply(request.number, Failure.of(error))
        except Exception as error:
            log.exception("engine_call_failed", call=type(request.call).__name__)
            return Reply(request.number, Failure.of(internal(repr(error))))


def _name_in(directory: Path) -> str | None:
    """Return the collection's name; ``None`` while another process makes or removes it."""
    try:
        return Manifest.read(directory).name
    except (FileNotFoundError, NotADirectoryError):
        return None
