"""Verification between a real Qdrant engine and a real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import numpy as np
import orjson
import pytest

import backfill.verify_steps
from backfill.bell import Bell
from backfill.conductor import Conductor
from backfill.jobs import JobKind, JobState, Options
from backfill.key_range import KeyRange
from backfill.signature import Verdict, verdict
from backfill.verify import Effort
from backfill.verify_steps import Patience
from backfill.worker import Worker
from service.control.state import CollectionState
from service.errors import SourceUnavailable, StageError, StoreAnswered
from service.model.ids import PointId, encode_key, sorted_keys
from service.model.operations import ByIds, Delete, DeleteVectors, SetPayload, UpdateVectors, Upsert
from service.model.points import Hit, Page, Point
from service.model.qdrant import (
    QueryRequest,
    ScrollRequest,
)
from service.stages import Side, Stage
from service.stores.postgres import catalog, reads, writes
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.store import PgStore
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.store import QdrantStore
from tests.backfill.rig import EVERY_KIND, PAYLOADS, QUICK, point_of_every_kind
from tests.backfill.verifying import NoPace, Verifier
from tests.service.stores.postgres.staged import current, intent_of, registered

POINTS = 60
ROUNDED = (*PAYLOADS, {"power": 2.0**60, "huge": 1.5e300})
"""Also numbers that PostgreSQL writes with other digits than Qdrant."""


@dataclass
class Rig:
    """Both stores of one collection, equal at first."""

    name: str
    source: QdrantStore
    database: Database
    target: PgStore
    control: PostgresControl

    async def state(self) -> CollectionState:
        """Return the collection's control row."""
        return await current(self.control, self.name)

    async def copy(self, ids: Sequence[PointId] | None = None) -> None:
        """Make the target what the source is, without our backfill."""
        page = await self.source.scroll(
            self.name, ScrollRequest(limit=1000, with_payload=True, with_vector=True)
        )
        points = [Point(r.id, r.vectors or {}, r.payload or {}) for r in page.records]
        wanted = points if ids is None else [p for p in points if p.id in ids]
        absent = [] if ids is None else [i for i in ids if i not in {p.id for p in points}]
        async with self.database.transaction() as connection:
            tables = await catalog.get(connection, self.name)
            await writes.mirror(connection, tables, wanted, absent)


@pytest.fixture
async def rig(qdrant_url: str, collection_name: str, database: Database) -> AsyncIterator[Rig]:
    """A source of points of every kind, and their copy."""
    rng = np.random.default_rng(3)
    async with QdrantHttp(qdrant_url) as http:
        source = QdrantStore(http)
        await source.create_collection(collection_name, EVERY_KIND)
        points = [point_of_every_kind(number, rng, ROUNDED) for number in range(POINTS)]
        await source.apply(collection_name, Upsert(points), wait=True)
        control = PostgresControl(database)
        await control.arm(collection_name, EVERY_KIND, actor="test", is_new=True)
        made = Rig(collection_name, source, database, PgStore(database), control)
        await made.copy()
        yield made


def kinds_of(result: object) -> dict[PointId, list[str]]:
    """Return the confirmed differences of a receipt."""
    assert isinstance(result, dict)
    return {entry["id"]: entry["kinds"] for entry in result["differing_ids"]}


async def test_equal_stores_are_clean_and_their_digests_are_equal(rig: Rig) -> None:
    """Every point is compared, and both stores come to the same digests."""
    verifier = Verifier(rig.source, rig.database)
    result = await verifier.run(rig.name)
    assert result["clean"], result
    assert result["compared"] == result["source_points"] == result["target_points"] == POINTS
    document = await verifier.document(rig.name)
    digest = document["digest"]
    assert isinstance(digest, dict)
    assert digest["points"] == POINTS
    assert digest["source"] == digest["target"]
    assert digest["source"]["content"] != digest["source"]["bits"] != "0" * 32


async def test_every_kind_of_difference_is_found(rig: Rig) -> None:
    """Changes made behind the proxy's back, one of each kind, are reported under their names."""
    await rig.target.apply(rig.name, Delete(ByIds((1,))), wait=True)
    await rig.target.apply(rig.name, SetPayload(ByIds((3,)), {"n": 2}), wait=True)
    slightly = np.full(3, 1.00001, np.float32)
    await rig.source.apply(
        rig.name, UpdateVectors([(7, {"image": np.ones(3, np.float32)})]), wait=True
    )
    await rig.target.apply(rig.name, UpdateVectors([(7, {"image": slightly})]), wait=True)
    await rig.target.apply(rig.name, DeleteVectors(ByIds((9,)), ("words",)), wait=True)
    await rig.target.apply(rig.name, Upsert([Point(1000, {}, {})]), wait=True)
    verifier = Verifier(rig.source, rig.database)
    result = await verifier.run(rig.name)
    expected = {
        1: ["missing"], 3: ["payload"], 7: ["vector"], 9: ["vector"], 1000: ["extra"],
    }  # fmt: skip
    assert kinds_of(result) == expected
    assert not result["clean"]
    for kind, count in {"missing": 1, "extra": 1, "payload": 1, "vector": 2}.items():
        assert result["counts"][kind] == count
        found = verifier.registry.get_sample_value(
            "vecferry_verify_differences_total", {"kind": kind}
        )
        assert found == count
    document = await verifier.document(rig.name)
    stored = await verifier.receipts.differences(
        UUID(str(document["receipt"])), after=None, limit=10
    )
    assert stored is not None
    assert [each.key for each in stored] == sorted(encode_key(i) for i in expected)
    after = await verifier.receipts.differences(
        UUID(str(document["receipt"])), after=stored[1].key, limit=2
    )
    assert after is not None
    assert [each.key for each in after] == [each.key for each in stored[2:4]]


async def test_the_receipt_is_signed_and_survives_the_database(rig: Rig) -> None:
    """A signature holds after the trip through jsonb and a file, and not after a change."""
    await rig.target.apply(rig.name, Upsert([Point(2**64 - 1, {}, {})]), wait=True)
    await Verifier(rig.source, rig.database, key=b"secret").run(rig.name)
    document = orjson.loads(
        orjson.dumps(await Verifier(rig.source, rig.database).document(rig.name))
    )
    assert verdict(document, b"secret") is Verdict.VALID
    assert document["differing_ids"] == [{"id": 2**64 - 1, "kinds": ["extra"]}]
    assert document["versions"].keys() == {"vecferry", "qdrant", "postgres", "pgvector"}
    assert (document["stage"], document["authority"]) == ("dualwrite", "source")
    document["differing_ids"] = []
    assert verdict(document, b"secret") is Verdict.CHANGED


async def test_points_go_back_to_the_source(rig: Rig) -> None:
    """What Qdrant makes of the stored vectors when they are pushed to it is equal to them."""
    ids = range(1, POINTS, 2)
    async with rig.database.connection() as connection:
        tables = await catalog.get(connection, rig.name)
        points = await reads.whole_points(connection, tables, sorted_keys(ids))
    await rig.source.apply(rig.name, Delete(ByIds(tuple(ids))), wait=True)
    await rig.source.apply(rig.name, Upsert(points), wait=True)
    result = await Verifier(rig.source, rig.database).run(rig.name)
    assert result["clean"], result


@pytest.mark.parametrize("workers", [1, 3])
async def test_ranges_are_shared_out_and_chain(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """With many ranges and workers every id is compared once, and the digests are those of one range."""
    whole = await Verifier(rig.source, rig.database).run(rig.name)
    assert whole["clean"]
    one = await Verifier(rig.source, rig.database).document(rig.name)
    monkeypatch.setattr(backfill.verify_steps, "_POINTS_PER_RANGE", 9)
    result = await Verifier(rig.source, rig.database).run(rig.name, workers=workers)
    assert result["clean"], result
    assert result["compared"] == POINTS
    many = await Verifier(rig.source, rig.database).document(rig.name)
    assert isinstance(many["ranges"], list)
    assert len(many["ranges"]) == 7
    assert many["digest"] == one["digest"]


class Unsampled(QdrantStore):
    """A source without random samples, as an old Qdrant is."""

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        """Refuse."""
        raise StoreAnswered(400, b"{}")


@pytest.mark.parametrize(("sorted_keys_at_most", "ranges"), [(5_000_000, 7), (10, 1)])
async def test_ranges_are_drawn_from_the_store_that_can(
    rig: Rig,
    qdrant_url: str,
    monkeypatch: pytest.MonkeyPatch,
    sorted_keys_at_most: int,
    ranges: int,
) -> None:
    """A store that cannot draw leaves it to the other one; without any sample there is one range."""
    monkeypatch.setattr(backfill.verify_steps, "_POINTS_PER_RANGE", 9)
    monkeypatch.setattr(backfill.verify_steps, "_MOST_SORTED", sorted_keys_at_most)
    async with QdrantHttp(qdrant_url) as http:
        verifier = Verifier(Unsampled(http), rig.database)
        result = await verifier.run(rig.name)
        document = await verifier.document(rig.name)
    assert (result["clean"], result["compared"]) == (True, POINTS)
    assert isinstance(document["ranges"], list)
    assert len(document["ranges"]) == ranges


async def test_a_range_that_is_lost_is_noticed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receipt over ranges that leave something out is not clean, whatever they found."""
    gap = [KeyRange(None, encode_key(11)), KeyRange(encode_key(13), None)]
    monkeypatch.setattr(backfill.verify_steps, "cut", lambda *_: gap)
    result = await Verifier(rig.source, rig.database).run(rig.name)
    assert not result["clean"]
    assert result["faults"] == ["range 1 does not begin where range 0 ends"]


@pytest.mark.parametrize("kills", [1, 3, 6])
async def test_a_killed_verification_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    """Killed after any page, with another number of workers each time, it ends with the same receipt."""
    monkeypatch.setattr(backfill.verify_steps, "_POINTS_PER_RANGE", 20)
    await rig.target.apply(rig.name, Delete(ByIds((5, 41))), wait=True)
    undisturbed = await Verifier(rig.source, rig.database).run(rig.name)
    expected = await Verifier(rig.source, rig.database).document(rig.name)
    verifier = Verifier(rig.source, rig.database)
    await verifier.begin(rig.name)
    for kill in range(kills):
        await _killed_after(verifier, pages=1 + kill % 2, workers=1 + kill % 3)
        async with rig.database.connection() as connection:
            # Whoever was killed while it claimed a range gave nothing back.
            await connection.execute(
                "UPDATE vecferry.job_ranges SET heard_at = heard_at - interval '1 hour'"
            )
    while await verifier.work_on():
        pass
    result = await verifier.end()
    assert kinds_of(result) == kinds_of(undisturbed) == {5: ["missing"], 41: ["missing"]}
    assert result["compared"] == POINTS
    document = await verifier.document(rig.name)
    assert document["digest"] == expected["digest"]


async def test_the_last_page_is_paced_too(rig: Rig) -> None:
    """It may be the only one, and of thousands of collections."""
    paced = 0

    async def page_done() -> None:
        nonlocal paced
        paced += 1

    effort = Effort(first_page=2 * POINTS, most_points=2 * POINTS)
    verifier = Verifier(rig.source, rig.database, effort=effort, pace=NoPace(page_done))
    assert (await verifier.run(rig.name))["clean"] is True
    assert paced == 1


async def test_a_small_component_is_not_hidden_by_a_large_one(rig: Rig) -> None:
    """Vectors that nobody normalises are the same to the bit, or they differ."""
    for store, second in ((rig.source, 0.0), (rig.target, 1.0)):
        image = np.array([1.7e9, second, 0.0], np.float32)
        await store.apply(rig.name, Upsert([Point(5, {"image": image}, {})]), wait=True)
    result = await Verifier(rig.source, rig.database).run(rig.name)
    assert kinds_of(result) == {5: ["vector"]}


async def _killed_after(verifier: Verifier, *, pages: int, workers: int) -> None:
    reached = asyncio.Event()
    count = 0

    async def page_done() -> None:
        nonlocal count
        count += 1
        if count >= pages:
            reached.set()
        await asyncio.sleep(0.001)

    verifier.pace = NoPace(page_done)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(verifier.work_on()) for _ in range(workers)]
        ended = tasks.create_task(_either(reached, running))
        await ended
        for each in running:
            each.cancel()
    verifier.pace = NoPace()


async def _either(reached: asyncio.Event, running: Sequence["asyncio.Task[int]"]) -> None:
    while not reached.is_set() and not all(each.done() for each in running):  # noqa: ASYNC110 - either of two
        await asyncio.sleep(0.001)


async def test_an_id_with_an_unsettled_write_is_not_confirmed(rig: Rig) -> None:
    """It is looked at again; if the write stays unsettled, the receipt says so and is not clean."""
    await rig.target.apply(rig.name, Delete(ByIds((5, 7))), wait=True)
    owner = await registered(rig.control)
    log = PostgresIntents(rig.database)
    taken = await log.insert([intent_of(await rig.state(), 5, 9)], owner=owner)
    assert taken
    verifier = Verifier(rig.source, rig.database)
    result = await verifier.run(rig.name)
    assert kinds_of(result) == {7: ["missing"]}
    assert result["unsettled_ids"] == [{"id": 5, "kinds": ["missing"]}]
    assert not result["clean"]


async def test_a_write_that_is_settled_meanwhile_is_no_difference(rig: Rig) -> None:
    """What a resync makes equal while the verification waits for it is settled."""
    await rig.target.apply(rig.name, Delete(ByIds((5,))), wait=True)
    state = await rig.state()
    owner = await registered(rig.control)
    log = PostgresIntents(rig.database)
    intent = intent_of(state, 5)
    await log.insert([intent], owner=owner)
    verifier = Verifier(rig.source, rig.database)
    verifier.patience = backfill.verify_steps.Patience(0.01, 10.0, 0.02)
    await verifier.begin(rig.name)
    await verifier.work_on()
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(verifier.end())
        async with asyncio.timeout(5):
            while not any(note and "unsettled" in note for note in verifier.notes):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
        await rig.copy([5])
        async with rig.database.connection() as connection:
            await connection.execute("DELETE FROM vecferry.intents WHERE id = $1", intent.id)
    assert ending.result()["clean"]
    assert ending.result()["rechecked"] == 1


async def test_waived_points_are_left_out_by_name(rig: Rig) -> None:
    """A point that the target cannot hold and somebody waived is an exclusion, and no difference."""
    await rig.target.apply(rig.name, Delete(ByIds((5, 7))), wait=True)
    verifier = Verifier(rig.source, rig.database)
    verifier.quarantine.keys = frozenset([encode_key(5)])
    result = await verifier.run(rig.name)
    assert kinds_of(result) == {7: ["missing"]}
    assert result["excluded_ids"] == [5]
    await rig.copy([7])
    assert (await verifier.run(rig.name))["clean"]


async def test_nobody_waits_for_ids_that_are_waived(rig: Rig) -> None:
    """They are left out whatever comes of the writes on their way."""
    await rig.target.apply(rig.name, Delete(ByIds((5,))), wait=True)
    verifier = Verifier(rig.source, rig.database, patience=Patience(600.0, 0.2, 0.02))
    verifier.quarantine.keys = frozenset([encode_key(5)])
    async with asyncio.timeout(30):
        result = await verifier.run(rig.name)
    assert (result["clean"], result["excluded_ids"]) == (True, [5])


async def test_an_id_that_only_the_target_has_is_not_excused(rig: Rig) -> None:
    """What the target refused it lacks, or has an old value of; this is another fault."""
    await rig.source.apply(rig.name, Delete(ByIds((5,))), wait=True)
    verifier = Verifier(rig.source, rig.database)
    verifier.quarantine.keys = frozenset([encode_key(5)])
    result = await verifier.run(rig.name)
    assert (result["clean"], kinds_of(result)) == (False, {5: ["extra"]})


async def test_too_many_differences_are_counted_and_not_kept(rig: Rig) -> None:
    """The list stays bounded; a receipt over more than it holds is not complete."""
    async with rig.database.transaction() as connection:
        tables = await catalog.get(connection, rig.name)
        await connection.execute(f"DELETE FROM {tables.points.quoted()}")
    verifier = Verifier(rig.source, rig.database)
    verifier.effort = Effort(first_page=5, most_points=7, most_suspects=10)
    result = await verifier.run(rig.name)
    assert (result["rechecked"], result["differing"]) == (POINTS, 10)
    assert not result["complete"]
    assert result["faults"] == [
        "60 ids differed at first sight, and only 10 of them were looked at again"
    ]


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
async def test_it_works_whichever_store_is_right(rig: Rig, stage: Stage) -> None:
    """The direction of authority changes what is to be repaired, not what is found."""
    await _bring(rig, stage)
    await rig.source.apply(rig.name, Delete(ByIds((5,))), wait=True)
    result = await Verifier(rig.source, rig.database).run(rig.name)
    assert kinds_of(result) == {5: ["extra"]}
    document = await Verifier(rig.source, rig.database).document(rig.name)
    assert document["authority"] == ("source" if stage is Stage.DUALWRITE else "target")


async def test_an_intent_towards_the_source_keeps_its_ids_open(rig: Rig) -> None:
    """Where the target is right, what the source has not got yet is no difference."""
    await _bring(rig, Stage.LIVE)
    await rig.source.apply(rig.name, Delete(ByIds((5,))), wait=True)
    owner = await registered(rig.control)
    await PostgresIntents(rig.database).insert(
        [intent_of(await rig.state(), 5, behind=Side.SOURCE)], owner=owner
    )
    result = await Verifier(rig.source, rig.database).run(rig.name)
    assert kinds_of(result) == {}
    assert result["unsettled"] == 1


async def test_stores_that_are_no_longer_both_written_are_not_judged(rig: Rig) -> None:
    """A difference between a store that is written and one that is not means nothing."""
    await rig.target.apply(rig.name, Delete(ByIds((5,))), wait=True)
    verifier = Verifier(rig.source, rig.database)
    await verifier.begin(rig.name)
    await verifier.work_on()
    await _bring(rig, Stage.COMPLETE)
    with pytest.raises(StageError, match="stage complete"):
        await verifier.end()


async def _bring(rig: Rig, stage: Stage) -> None:
    if stage is not Stage.DUALWRITE:
        await rig.control.publish(await rig.state(), stage, 100, actor="test", token=None)


class Failing(QdrantStore):
    """A source that goes away for some of the reads."""

    failures = 3

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        """Fail every other time."""
        if self.failures and request.offset is not None:
            self.failures -= 1
            reason = "is restarting"
            raise SourceUnavailable(reason, may_have_applied=False)
        return await super().scroll(collection, request)


async def test_it_runs_under_a_conductor_and_workers_and_waits_for_a_store(
    rig: Rig, qdrant_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in production: an outage is waited for, and the job ends with the receipt's summary."""
    monkeypatch.setattr(backfill.verify_steps, "_POINTS_PER_RANGE", 20)
    async with QdrantHttp(qdrant_url) as http:
        verifier = Verifier(Failing(http), rig.database)
        bell, owner = Bell(), uuid4()
        conductor = Conductor(
            {JobKind.VERIFY: verifier.steps}, verifier.queue, owner, bell=bell, timing=QUICK
        )
        worker = Worker(
            {JobKind.VERIFY: verifier.work},
            verifier.ranges,
            owner,
            concurrency=2,
            bell=bell,
            timing=QUICK,
        )
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(worker.run()), tasks.create_task(conductor.run())]
            job = await verifier.queue.start(JobKind.VERIFY, rig.name, Options())
            bell.ring()
            while job.state.is_open:
                await asyncio.sleep(0.02)
                found = await verifier.queue.latest(JobKind.VERIFY, rig.name)
                assert found is not None
                job = found
            for each in running:
                each.cancel()
    assert (job.state, job.error) == (JobState.DONE, None)
    assert job.result is not None
    assert (job.result["clean"], job.result["compared"]) == (True, POINTS)
    assert job.result["receipt"] == str(job.id)
    assert (job.scanned, job.total, job.ranges) == (POINTS, POINTS, 3)
