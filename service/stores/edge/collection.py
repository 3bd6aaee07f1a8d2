"""One collection inside an engine process: its shard, its journal, its manifest and its running rebuild."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Self

import qdrant_edge as edge
import structlog

from service.errors import Overloaded, VecferryError
from service.model.operations import (
    CreateIndex,
    CreateVector,
    DeleteIndex,
    DeleteVector,
    Operation,
    UpdateResult,
)
from service.model.points import FacetHit, Hit, Page, Record
from service.model.qdrant import (
    CollectionInfo,
    CountRequest,
    CreateCollection,
    FacetRequest,
    PointRequest,
    ScrollRequest,
    StrictModeConfig,
    UpdateCollection,
    UpdateStatus,
)
from service.model.queries import ResolvedQuery
from service.stores.configuration import updated, vector_params, vector_specs
from service.stores.edge import reads
from service.stores.edge.booleans import boolean_matches
from service.stores.edge.config import PLACEHOLDER, engine_config, placeholder_config
from service.stores.edge.failures import engine_errors
from service.stores.edge.journal import Journal
from service.stores.edge.manifest import FILE as MANIFEST
from service.stores.edge.manifest import Manifest, directory_name
from service.stores.edge.operations import check, engine_operation, touched
from service.stores.edge.rebuild import Rebuild
from service.stores.edge.schedule import Schedule
from service.stores.edge.settings import EngineSettings
from service.stores.edge.strict import Description
from service.stores.vector_names import with_vector, without_vector

_REBUILD_POLL = 0.05

log = structlog.get_logger()


class Collection:
    """Reads and writes of one collection, all from one thread."""

    def __init__(self, directory: Path, settings: EngineSettings, lock: int) -> None:
        self._directory = directory
        self._settings = settings
        self._lock = lock
        self._manifest = Manifest.read(directory)
        self._remove_other_shards()
        self._shard = edge.EdgeShard.load(str(self._manifest.shard_directory(directory)))
        self._journal = Journal(directory)
        self._specs = vector_specs(self._manifest.request)
        self._rebuild: Rebuild | None = None
        self._schedule = Schedule(settings, changed_points=self._unindexed_points())
        self._deferred_due = 0.0
        self._flush_due: float | None = None

    @classmethod
    def create(
        cls, root: Path, name: str, request: CreateCollection, settings: EngineSettings, lock: int
    ) -> Self:
        """Make the collection's directory; the manifest comes last, without it there is no collection."""
        directory = root / directory_name(name)
        shutil.rmtree(directory, ignore_errors=True)
        manifest = Manifest(name, request)
        shard_directory = manifest.shard_directory(directory)
        shard_directory.mkdir(parents=True)
        with engine_errors():
            if vector_params(request) or request.sparse_vectors:
                edge.EdgeShard.create(str(shard_directory), engine_config(request)).close()
            else:
                shard = edge.EdgeShard.create(str(shard_directory), placeholder_config(request))
                shard.update(edge.UpdateOperation.delete_vector_name(PLACEHOLDER))
                shard.flush()
                shard.close()
        manifest.write(directory)
        return cls(directory, settings, lock)

    @property
    def name(self) -> str:
        """The collection's name."""
        return self._manifest.name

    @property
    def limits(self) -> StrictModeConfig | None:
        """The limits of strict mode, if any were given."""
        return self._manifest.request.strict_mode_config

    # ------------------------------------------------------------------------------------ reads

    def info(self) -> CollectionInfo:
        """Return status, counts, configuration and payload schema."""
        due = self._schedule.start_at(self._manifest.request)
        return reads.info(
            self._shard, self._manifest, is_busy=self._rebuild is not None or due is not None
        )

    def description(self) -> Description:
        """Return what the collection is."""
        points = reads.count(self._shard, CountRequest())
        return Description(self._manifest.request, self._manifest.schemas, points)

    def retrieve(self, request: PointRequest) -> list[Record]:
        """Return the points that exist, in the request's order."""
        return reads.retrieve(self._shard, request)

    def scroll(self, request: ScrollRequest) -> Page:
        """Return a page in id order, or in the order of a payload field."""
        return reads.scroll(self._shard, request)

    def count(self, request: CountRequest) -> int:
        """Return the number of points that match."""
        return reads.count(self._shard, request)

    def query(self, query: ResolvedQuery) -> list[Hit]:
        """Return the best points, best first."""
        return reads.query(self._shard, query)

    def facet(self, request: FacetRequest) -> list[FacetHit]:
        """Return the values of a field with their counts."""
        return reads.facet(self._shard, request)

    # ----------------------------------------------------------------------------------- writes

    def apply(self, operation: Operation, *, wait: bool) -> UpdateResult:
        """Apply one change now, after everything that was acknowledged before it, or keep it for later."""
        check(operation, self._specs)
        self._described(operation)
        if wait or isinstance(operation, CreateVector | DeleteVector):
            # What the collection is must be known when the next change is checked.
            self.apply_deferred()
            status = UpdateStatus.COMPLETED if wait else UpdateStatus.ACKNOWLEDGED
            return UpdateResult(self._run(operation, None), status)
        if len(self._journal.pending) >= self._settings.pending_writes:
            message = f"{len(self._journal.pending)} acknowledged operations wait to be applied"
            raise Overloaded(message)
        if not self._journal.pending:
            self._deferred_due = time.monotonic() + self._settings.deferred
        return UpdateResult(self._journal.acknowledge(operation), UpdateStatus.ACKNOWLEDGED)

    def apply_deferred(self) -> None:
        """Apply what was acknowledged, in order; errors are lost, as Qdrant loses them."""
        while self._journal.pending:
            number, operation = self._journal.pending[0]
            try:
                self._run(operation, number)
            except Exception as error:  # noqa: BLE001 - its client has its answer already
                log.warning(
                    "deferred_operation_failed",
                    collection=self.name,
                    operation_id=number,
                    reason=str(error),
                )
                self._journal.mark_applied(number)

    def _run(self, operation: Operation, number: int | None) -> int:
        with engine_errors():
            change = engine_operation(operation, boolean_matches(self._shard))
        if number is None:
            number = self._journal.give_number()
        points = touched(operation)
        try:
            with engine_errors():
                self._shard.update(change)
        finally:
            # Also when it failed: the part that was applied before the failure has to be repeated.
            if self._rebuild is not None:
                self._rebuild.record(change, points)
            self._journal.mark_applied(number)
        now = time.monotonic()
        self._schedule.wrote(points, now, self._manifest.request)
        if self._flush_due is None:
            self._flush_due = now + self._settings.flush_interval
        described = self._described(operation)
        if described is not self._manifest:
            self._store(described)
        return number

    def _described(self, operation: Operation) -> Manifest:
        """Return the manifest after the operation, the same object when it does not change."""
        manifest = self._manifest
        match operation:
            case CreateIndex(field=path, schema=schema):
                return manifest.with_index(path, schema)
            case DeleteIndex(field=path):
                return manifest.without_index(path)
            case CreateVector(name=name, config=config):
                return manifest.with_request(with_vector(manifest.request, name, config))
            case DeleteVector(name=name):
                return manifest.with_request(without_vector(manifest.request, name))
            case _:
                return manifest

    def update(self, update: UpdateCollection) -> None:
        """Change parameters; the vectors are indexed anew with them, in the background."""
        self._store(self._manifest.with_request(updated(self._manifest.request, update)))
        self._schedule.demanded = True

    def _store(self, manifest: Manifest) -> None:
        manifest.write(self._directory)
        self._manifest = manifest
        self._specs = vector_specs(manifest.request)

    # ------------------------------------------------------------------------------ maintenance

    @property
    def holds_writes(self) -> bool:
        """Whether more changes would make the running rebuild's backlog too long."""
        rebuild = self._rebuild
        return rebuild is not None and rebuild.backlog_points >= self._settings.backlog_points

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self._journal.pending and now >= self._deferred_due and not self.holds_writes:
            self.apply_deferred()
        if self._rebuild is not None:
            self._continue_rebuild(now)
        elif _is_due(self._schedule.start_at(self._manifest.request), now):
            self._start_rebuild(now)
        if _is_due(self._flush_due, now):
            self._shard.flush()
            self._flush_due = None

    def next_tick(self, now: float) -> float | None:
        """Return when :meth:`tick` wants to be called again, ``None`` for not before the next change."""
        if self._rebuild is not None:
            return now if self._rebuild.is_catching_up else now + _REBUILD_POLL
        due = [self._flush_due, self._schedule.start_at(self._manifest.request)]
        if self._journal.pending:
            due.append(self._deferred_due)
        return min((moment for moment in due if moment is not None), default=None)

    def _start_rebuild(self, now: float) -> None:
        self._schedule.started()
        source = self._manifest.shard_directory(self._directory)
        target = self._next_manifest().shard_directory(self._directory)
        try:
            self._rebuild = Rebuild(self._shard, self._directory, source, target, self._lock)
        except OSError as error:
            # Most likely no room for the copy. The shard is as good as before.
            log.warning("index_rebuild_failed", collection=self.name, reason=str(error))
            self._schedule.changed_points = self._unindexed_points()
            self._schedule.ended(now)
        else:
            log.info("index_rebuild_started", collection=self.name)

    def _continue_rebuild(self, now: float) -> None:
        rebuild = self._rebuild
        if rebuild is None:
            return
        try:
            finished = rebuild.step()
        except (ChildProcessError, VecferryError) as error:
            log.warning("index_rebuild_failed", collection=self.name, reason=str(error))
            self._drop_rebuild(now)
            return
        if finished is None:
            return
        old, self._shard = self._shard, finished
        self._store(self._next_manifest())
        self._rebuild = None
        self._schedule.ended(now)
        self._flush_due = now
        old.close()
        self._remove_other_shards()
        log.info("index_rebuild_finished", collection=self.name)

    def _drop_rebuild(self, now: float) -> None:
        if self._rebuild is not None:
            self._rebuild.abandon()
            self._rebuild = None
            self._schedule.changed_points = self._unindexed_points()
            self._schedule.ended(now)

    def _next_manifest(self) -> Manifest:
        return replace(self._manifest, shard=self._manifest.shard + 1)

    def _remove_other_shards(self) -> None:
        valid = self._manifest.shard_directory(self._directory)
        for other in self._directory.glob("shard-*"):
            if other != valid:
                shutil.rmtree(other, ignore_errors=True)

    def _unindexed_points(self) -> int:
        shard = self._shard.info()
        vectors_per_point = len(vector_params(self._manifest.request))
        if vectors_per_point == 0:
            return 0
        unindexed: int = shard.points_count - shard.indexed_vectors_count // vectors_per_point
        return max(0, unindexed)

    def close(self) -> None:
        """Write everything out and release the shard."""
        self._drop_rebuild(time.monotonic())
        self._shard.flush()
        self._shard.close()
        self._journal.sync()
        self._journal.close()

    def drop(self) -> None:
        """Release the shard and remove the collection; without its manifest it is gone."""
        self._drop_rebuild(time.monotonic())
        self._shard.close()
        self._journal.close()
        (self._directory / MANIFEST).unlink()
        shutil.rmtree(self._directory)


def _is_due(moment: float | None, now: float) -> bool:
    return moment is not None and now >= moment
