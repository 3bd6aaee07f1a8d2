"""A write while the source is the authority: what is asked, in which order, and what the client hears."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from service.api.qdrant.touched import touched
from service.control.state import CollectionState
from service.errors import Overloaded, SourceUnavailable, StaleEpoch, TargetUnavailable
from service.metrics import ProxyMetrics
from service.protocol import source_writes
from service.protocol.commits import GroupCommit
from service.protocol.ledger import Intent
from service.protocol.resync import Resyncer
from service.protocol.source_writes import Answer, Headers, SourceWrites, WriteRequest
from service.stages import Side, Stage
from tests.service.protocol.fakes import MemoryLog, MemorySource, keys
from tests.service.running import running, until

DUALWRITE = CollectionState("c", Stage.DUALWRITE, 1, epoch=1)
RAMP = replace(DUALWRITE, stage=Stage.RAMP)

Reply = Answer | Exception | None


@dataclass
class Qdrant:
    """The source's HTTP side: answers `completed`, or what a test puts into ``replies``; scrolls ``matching``."""

    journal: list[str]
    matching: list[int] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    requests: list[tuple[str, Mapping[str, str], Any]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    form: Answer = field(default_factory=lambda: Answer(404, (), b"no such collection"))
    """What it says to a request for a collection that is not there."""
    elsewhere: list[Any] = field(default_factory=list)

    async def __call__(
        self, method: str, path: str, *, query: Mapping[str, str], headers: Headers, body: bytes
    ) -> Answer:
        asked = orjson.loads(body)
        if path.endswith("/points/scroll"):
            self.journal.append("scroll")
            return self._scroll(path, asked)
        if len(path.split("/")[2]) == len(str(UUID(int=0))):
            self.elsewhere.append(asked)
            return self.form
        self.journal.append("source")
        self.requests.append((path, query, asked))
        await self.gate.wait()
        reply = self.replies.pop(0) if self.replies else None
        if isinstance(reply, Exception):
            raise reply
        return reply or completed(batch="operations" in asked)

    def _scroll(self, path: str, asked: Any) -> Answer:
        self.scrolled = path
        start = asked["offset"] or 0
        found = [number for number in self.matching if number >= start]
        page, rest = found[: asked["limit"]], found[asked["limit"] :]
        result = {
            "points": [{"id": n} for n in page],
            "next_page_offset": rest[0] if rest else None,
        }
        return Answer(200, (), orjson.dumps({"result": result}))


def completed(*, batch: bool = False, status: str = "completed") -> Answer:
    """Return an answer as Qdrant gives it."""
    result: dict[str, object] = {"operation_id": 1, "status": status}
    return Answer(200, (), orjson.dumps({"result": [result] if batch else result, "status": "ok"}))


def status_of(answer: Answer) -> object:
    """Return what the client reads of the write's progress."""
    return orjson.loads(answer.body)["result"]["status"]


@pytest.fixture
def qdrant(journal: list[str]) -> Qdrant:
    """A source that answers at once."""
    qdrant = Qdrant(journal)
    qdrant.gate.set()
    return qdrant


class Stages:
    """What is known of the collection when somebody asks anew."""

    def __init__(self) -> None:
        self.now = DUALWRITE
        self.asked = 0

    async def renewed(self, name: str) -> CollectionState:
        assert name == self.now.name
        self.asked += 1
        return self.now


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    """The stages, with no pauses between two looks."""
    monkeypatch.setattr(source_writes, "_PAUSES", (0, 0, 0))
    return Stages()


@pytest.fixture
async def writes(
    qdrant: Qdrant,
    log: MemoryLog,
    resyncer: Resyncer,
    counted: ProxyMetrics,
    stages: Stages,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[SourceWrites]:
    """The writes, with the group commit at work and nobody who settles; however slow the machine, none is late."""
    monkeypatch.setattr(resyncer, "may_be_recovered", lambda since: False)
    commits = GroupCommit(log, uuid4(), counted)
    async with running(commits.run()):
        yield SourceWrites(qdrant, commits, resyncer, renewed=stages.renewed, ramp_answer_seconds=5)


@dataclass(frozen=True)
class Client:
    """Sends writes as the proxy does."""

    writes: SourceWrites

    async def send(
        self,
        suffix: str,
        body: object,
        *,
        state: CollectionState = DUALWRITE,
        wait: str | None = "true",
        name: str = "c",
    ) -> Answer:
        raw = orjson.dumps(body)
        method = "PUT" if suffix in {"", "/vectors"} else "POST"
        query = {} if wait is None else {"wait": wait}
        request = WriteRequest(method, f"/collections/{name}/points{suffix}", query, (), raw)
        return await self.writes.write(state, request, touched(method, suffix, raw) or ())


@pytest.fixture
def client(writes: SourceWrites) -> Client:
    """A client of collection ``c``."""
    return Client(writes)


def upsert(*ids: int) -> dict[str, object]:
    """Return the body of an upsert."""
    return {"points": [{"id": number, "vector": [1.0]} for number in ids]}


COLOUR = {"must": [{"key": "colour", "match": {"value": "red"}}]}


async def test_the_intent_is_durable_before_the_source_is_asked(
    client: Client, log: MemoryLog, at_work: Resyncer, journal: list[str]
) -> None:
    """Intent, source, resync: in this order, with the ids of the write."""
    answer = await client.send("", upsert(2, 1, 2))
    assert status_of(answer) == "completed"
    assert journal[:2] == ["intent", "source"]
    await until(lambda: journal == ["intent", "source", "settled"])


async def test_the_intent_names_every_id_once(client: Client, log: MemoryLog) -> None:
    """The keys of an intent are distinct and sorted; the target is behind and the answer is owed."""
    await client.send("", upsert(2, 1, 2))
    (row,) = log.rows.values()
    assert (row.keys, row.behind, row.owed, row.epoch) == (keys(1, 2), Side.TARGET, True, 1)


async def test_the_clients_bytes_are_forwarded_waiting(client: Client, qdrant: Qdrant) -> None:
    """The body goes through as it is; only `wait=true` is added, other parameters stay."""
    await client.send("", upsert(1), wait="false")
    assert qdrant.requests == [("/collections/c/points", {"wait": "true"}, upsert(1))]


@pytest.mark.parametrize("wait", ["false", None])
async def test_who_does_not_wait_is_answered_acknowledged(
    client: Client, log: MemoryLog, wait: str | None
) -> None:
    """The source has completed the write, but the client hears what it asked for."""
    assert status_of(await client.send("", upsert(1), wait=wait)) == "acknowledged"


async def test_an_error_is_passed_on_to_who_does_not_wait(client: Client, qdrant: Qdrant) -> None:
    """A refusal keeps its status and body."""
    refusal = Answer(400, (), b'{"status":{"error":"Wrong input"}}')
    qdrant.replies = [refusal]
    assert await client.send("", upsert(1), wait="false") == refusal


async def test_a_stale_epoch_reaches_no_store(
    client: Client, qdrant: Qdrant, log: MemoryLog, resyncer: Resyncer, monkeypatch: Any
) -> None:
    """A refused intent ends the request before the source is asked, and leaves nothing open."""

    async def refuse(intents: Sequence[object], *, owner: object) -> set[Any]:
        return set()

    monkeypatch.setattr(log, "insert", refuse)
    with pytest.raises(StaleEpoch):
        await client.send("", upsert(1))
    assert not qdrant.requests
    assert resyncer.is_idle


async def test_without_a_ledger_nothing_is_written(
    client: Client, qdrant: Qdrant, log: MemoryLog, resyncer: Resyncer
) -> None:
    """An intent that cannot be stored fails the request before the source is asked."""
    log.insert_errors = [TargetUnavailable("is away")]
    with pytest.raises(TargetUnavailable):
        await client.send("", upsert(1))
    assert not qdrant.requests
    assert resyncer.is_idle


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_resync_follows_a_refusal(
    client: Client, qdrant: Qdrant, log: MemoryLog, at_work: Resyncer, status: int
) -> None:
    """A write with one unknown id takes effect in part and then fails: it is copied all the same (R3)."""
    at_work._grace_seconds = 60
    qdrant.replies = [Answer(status, (), b"{}")]
    assert (await client.send("", upsert(1))).status == status
    await until(lambda: log.settled)


@pytest.mark.parametrize(
    "reply",
    [Answer(500, (), b"{}"), Answer(408, (), b"{}"), SourceUnavailable("hung up")],
)
async def test_a_resync_follows_an_unknown_end_after_the_grace_period(
    client: Client, qdrant: Qdrant, at_work: Resyncer, journal: list[str], reply: Reply
) -> None:
    """A write that may still land is passed on to the client and copied after it cannot (R1, R3)."""
    qdrant.replies = [reply]
    if isinstance(reply, Answer):
        assert await client.send("", upsert(1)) == reply
    else:
        with pytest.raises(SourceUnavailable):
            await client.send("", upsert(1))
    assert len(at_work._suspects) == 1
    await until(lambda: journal == ["intent", "source", "barrier", "settled"])


async def test_a_write_that_never_left_is_settled_at_once(
    client: Client, qdrant: Qdrant, at_work: Resyncer, journal: list[str]
) -> None:
    """Without a connection nothing can land late."""
    at_work._grace_seconds = 60
    qdrant.replies = [SourceUnavailable("is away", may_have_applied=False)]
    with pytest.raises(SourceUnavailable):
        await client.send("", upsert(1))
    await until(lambda: journal == ["intent", "source", "settled"])


async def test_a_queued_write_is_settled_after_a_barrier(
    client: Client, qdrant: Qdrant, at_work: Resyncer, journal: list[str]
) -> None:
    """`acknowledged` in spite of `wait=true` means that a read may not see it yet (R1)."""
    at_work._grace_seconds = 60
    qdrant.replies = [completed(status="acknowledged")]
    await client.send("", upsert(1))
    await until(lambda: journal == ["intent", "source", "barrier", "settled"])


async def test_a_cancelled_client_does_not_cancel_its_resync(
    client: Client, qdrant: Qdrant, at_work: Resyncer, journal: list[str]
) -> None:
    """A request that is cut off while the source works may have reached it (R3, R14)."""
    qdrant.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        gone = tasks.create_task(client.send("", upsert(1)))
        await until(lambda: qdrant.requests)
        gone.cancel()
    await until(lambda: journal == ["intent", "source", "barrier", "settled"])
    assert at_work.is_idle


async def test_a_client_that_leaves_before_the_commit_leaves_no_open_intent(
    client: Client, qdrant: Qdrant, log: MemoryLog, at_work: Resyncer
) -> None:
    """The intent may be committed all the same; then the sweep settles it, and nothing was written."""
    log.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        gone = tasks.create_task(client.send("", upsert(1)))
        await until(lambda: log.batches)
        gone.cancel()
    log.gate.set()
    await until(lambda: log.settled)
    assert at_work.is_idle
    assert not qdrant.requests


async def test_a_filter_becomes_ids_and_the_filter(client: Client, qdrant: Qdrant) -> None:
    """Ids alone would hit a point that no longer matches, the filter alone one without an intent (R4)."""
    qdrant.matching = [3, 5]
    await client.send("/delete", {"filter": COLOUR})
    ((_, _, body),) = qdrant.requests
    assert body == {"filter": {"must": [{"has_id": [3, 5]}, COLOUR]}}


async def test_a_large_filter_goes_in_pages(
    client: Client, qdrant: Qdrant, journal: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page has its own intent before its own write."""
    monkeypatch.setattr(source_writes, "_FILTER_PAGE", 2)
    qdrant.matching = [1, 2, 3, 4, 5]
    await client.send("/delete", {"filter": COLOUR})
    pages = [body["filter"]["must"][0]["has_id"] for _, _, body in qdrant.requests]
    assert pages == [[1, 2], [3, 4], [5]]
    assert journal == ["scroll", "intent", "source"] * 3


async def test_pages_end_with_the_first_error(
    client: Client, qdrant: Qdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was refused is not followed by more of it."""
    monkeypatch.setattr(source_writes, "_FILTER_PAGE", 2)
    qdrant.matching = [1, 2, 3, 4, 5]
    qdrant.replies = [None, Answer(500, (), b"{}")]
    assert (await client.send("/delete", {"filter": COLOUR})).status == 500
    assert len(qdrant.requests) == 2


async def test_a_filter_without_matches_needs_no_intent(
    client: Client, qdrant: Qdrant, log: MemoryLog
) -> None:
    """The source still answers, about a filter that can match nothing."""
    assert status_of(await client.send("/delete", {"filter": COLOUR})) == "completed"
    ((_, _, body),) = qdrant.requests
    assert body["filter"]["must"][0] == {"has_id": []}
    assert not log.rows


async def test_ids_beside_a_filter_have_an_intent_too(
    client: Client, qdrant: Qdrant, log: MemoryLog
) -> None:
    """Deleting vectors acts on both selectors: the intent covers both."""
    qdrant.matching = [3]
    body = {"points": [9], "filter": COLOUR, "vector": ["v"]}
    await client.send("/vectors/delete", body)
    (row,) = log.rows.values()
    assert row.keys == keys(3, 9)


async def test_a_collection_may_be_called_points(client: Client, qdrant: Qdrant) -> None:
    """The filter is resolved on the collection itself, whatever its name begins with."""
    await client.send("/delete", {"filter": COLOUR}, name="points_of_interest")
    assert qdrant.scrolled == "/collections/points_of_interest/points/scroll"


async def test_a_refused_filter_is_the_answer(
    client: Client, qdrant: Qdrant, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the source says to the filter, the client hears; nothing is written."""
    refusal = Answer(400, (), b"{}")
    monkeypatch.setattr(qdrant, "_scroll", lambda path, asked: refusal)
    assert await client.send("/delete", {"filter": COLOUR}) == refusal
    assert not log.rows


async def test_a_request_that_cannot_be_read_is_refused_in_its_own_words(
    client: Client, qdrant: Qdrant, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source sees the client's request as it is, at a place where it can write nothing (R4)."""
    monkeypatch.setattr(qdrant, "_scroll", lambda path, asked: Answer(400, (), b"scroll"))
    qdrant.form = Answer(400, (), b"delete")
    answer = await client.send("/delete", {"filter": COLOUR})
    assert (answer, qdrant.elsewhere) == (qdrant.form, [{"filter": COLOUR}])
    assert (qdrant.requests, log.rows) == ([], {})


async def test_a_batch_that_cannot_be_read_does_nothing(
    client: Client, qdrant: Qdrant, journal: list[str]
) -> None:
    """Also its operations before the malformed one: the source reads a batch whole before it acts."""
    qdrant.form = Answer(400, (), b"operations[1]")
    assert await client.send("/batch", BATCH) == qdrant.form
    assert (qdrant.elsewhere, journal) == ([BATCH], [])


BATCH: dict[str, Any] = {
    "operations": [
        {"upsert": upsert(1)},
        {"set_payload": {"payload": {"a": 1}, "filter": COLOUR}},
        {"delete": {"points": [2]}},
    ]
}


async def test_a_batch_with_a_filter_runs_operation_by_operation(
    client: Client, qdrant: Qdrant, journal: list[str]
) -> None:
    """Every operation has its intent, in order; the results are put together (R4)."""
    qdrant.matching = [7]
    answer = await client.send("/batch", BATCH)
    sent = [body["operations"] for _, _, body in qdrant.requests]
    assert [next(iter(one)) for (one,) in sent] == ["upsert", "set_payload", "delete"]
    assert sent[1][0]["set_payload"]["filter"] == {"must": [{"has_id": [7]}, COLOUR]}
    assert journal == ["intent", "source", "scroll", "intent", "source", "intent", "source"]
    assert len(orjson.loads(answer.body)["result"]) == 3


async def test_a_batch_without_a_filter_stays_whole(client: Client, qdrant: Qdrant) -> None:
    """It keeps the atomicity that Qdrant gives it, under one intent."""
    batch = {"operations": [BATCH["operations"][0], BATCH["operations"][2]]}
    await client.send("/batch", batch)
    assert [body for _, _, body in qdrant.requests] == [batch]


async def test_a_batch_stops_at_the_first_error(client: Client, qdrant: Qdrant) -> None:
    """The failing operation's answer is the batch's."""
    qdrant.matching = [7]
    failure = Answer(404, (), b"{}")
    qdrant.replies = [completed(batch=True), failure]
    assert await client.send("/batch", BATCH) == failure
    assert len(qdrant.requests) == 2


async def test_a_stage_change_inside_a_batch_repeats_nothing(
    client: Client, qdrant: Qdrant, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first operation a stale epoch is no longer "nothing was written": we do not start again."""
    insert = log.insert

    async def first_only(intents: Sequence[Any], *, owner: Any) -> set[Any]:
        return set() if log.rows else await insert(intents, owner=owner)

    monkeypatch.setattr(log, "insert", first_only)
    qdrant.matching = [7]
    with pytest.raises(Overloaded):
        await client.send("/batch", BATCH)
    assert len(qdrant.requests) == 1


async def test_a_write_in_ramp_waits_for_the_second_store(
    client: Client, log: MemoryLog, source: MemorySource, at_work: Resyncer, journal: list[str]
) -> None:
    """The client is answered after the settlement, and nothing is owed."""
    source.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.send("", upsert(1), state=RAMP))
        await until(lambda: source.asked)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert [row.owed for row in log.rows.values()] == [False]
        source.gate.set()
    assert journal == ["intent", "source", "settled"]


async def test_a_write_in_ramp_is_owed_when_the_second_store_is_slow(
    writes: SourceWrites, log: MemoryLog, source: MemorySource, at_work: Resyncer
) -> None:
    """After its budget the client is answered, and the ledger says that the target is behind (R11)."""
    writes._ramp_answer_seconds = 0.01
    source.gate.clear()
    assert status_of(await Client(writes).send("", upsert(1), state=RAMP)) == "completed"
    assert [row.owed for row in log.rows.values()] == [False, True]
    source.gate.set()
    await until(lambda: not log.rows)


async def test_a_late_write_is_covered_once_more(
    client: Client,
    log: MemoryLog,
    at_work: Resyncer,
    journal: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write that took so long that its intent may have been recovered gets a fresh one and is copied again (R7)."""
    _stands_still(monkeypatch, at_work, [False, True])
    assert status_of(await client.send("", upsert(1))) == "completed"
    await until(lambda: not log.rows)
    assert journal == ["intent", "source", "intent", "settled"]


async def test_a_write_whose_intent_is_old_already_is_not_sent(
    client: Client,
    log: MemoryLog,
    at_work: Resyncer,
    journal: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever stood still since the intent would write what nobody expects any more (R7)."""
    _stands_still(monkeypatch, at_work, [True])
    with pytest.raises(StaleEpoch):
        await client.send("", upsert(1))
    await until(lambda: not log.rows)
    assert journal == ["intent", "settled"]


def _stands_still(
    monkeypatch: pytest.MonkeyPatch, resyncer: Resyncer, looks: Sequence[bool]
) -> None:
    """Let the looks at the clock before and after the sending come out so."""
    seen = iter(looks)
    monkeypatch.setattr(resyncer, "may_be_recovered", lambda since: next(seen))


async def test_a_late_write_of_an_old_stage_is_not_confirmed(
    client: Client, qdrant: Qdrant, log: MemoryLog, resyncer: Resyncer, monkeypatch: Any
) -> None:
    """When the stage changed while a write was stuck, the client hears that it may be lost, and we do not repeat it."""
    insert = log.insert

    async def first_only(intents: Sequence[Any], *, owner: Any) -> set[Any]:
        return set() if log.rows else await insert(intents, owner=owner)

    monkeypatch.setattr(log, "insert", first_only)
    _stands_still(monkeypatch, resyncer, [False, True])
    with pytest.raises(Overloaded):
        await client.send("", upsert(1))


def _moved_on(monkeypatch: Any, log: MemoryLog, epoch: int) -> None:
    """Let the ledger take intents of epoch 1 while it is empty, and of another one afterwards."""
    insert = log.insert

    async def current_only(intents: Sequence[Any], *, owner: Any) -> set[Any]:
        current = epoch if log.rows else 1
        return await insert([each for each in intents if each.epoch == current], owner=owner)

    monkeypatch.setattr(log, "insert", current_only)


SAME_AUTHORITY = [
    replace(DUALWRITE, stage=Stage.SHADOW, epoch=2),
    replace(DUALWRITE, epoch=2, frozen=True),
]
OTHERS = [
    replace(DUALWRITE, stage=Stage.LIVE, epoch=2),
    replace(DUALWRITE, stage=Stage.OFF, epoch=2),
    replace(DUALWRITE, generation=2, epoch=2),
]


@pytest.mark.parametrize("now", SAME_AUTHORITY)
async def test_a_batch_goes_on_under_a_newer_stage(
    client: Client, qdrant: Qdrant, log: MemoryLog, stages: Stages, monkeypatch: Any, now: Any
) -> None:
    """Where the source stays right a stage change is not noticed, not even between two steps of a write."""
    _moved_on(monkeypatch, log, epoch=2)
    stages.now = now
    qdrant.matching = [7]
    assert (await client.send("/batch", BATCH)).status == 200
    assert len(qdrant.requests) == 3
    assert sorted(row.epoch for row in log.rows.values()) == [1, 2, 2]


async def test_pages_go_on_under_a_newer_stage(
    client: Client, qdrant: Qdrant, log: MemoryLog, stages: Stages, monkeypatch: Any
) -> None:
    """Each page once, each with an intent of the stage that is in force."""
    monkeypatch.setattr(source_writes, "_FILTER_PAGE", 2)
    _moved_on(monkeypatch, log, epoch=2)
    stages.now = SAME_AUTHORITY[0]
    qdrant.matching = [1, 2, 3]
    await client.send("/delete", {"filter": COLOUR})
    pages = [body["filter"]["must"][0]["has_id"] for _, _, body in qdrant.requests]
    assert pages == [[1, 2], [3]]


@pytest.mark.parametrize("now", OTHERS)
async def test_a_batch_ends_where_the_source_is_no_longer_right(
    client: Client, qdrant: Qdrant, log: MemoryLog, stages: Stages, monkeypatch: Any, now: Any
) -> None:
    """Another authority, no mirror or another collection of the name: the client hears what may have happened."""
    _moved_on(monkeypatch, log, epoch=2)
    stages.now = now
    qdrant.matching = [7]
    with pytest.raises(Overloaded):
        await client.send("/batch", BATCH)
    assert stages.asked == len(qdrant.requests) == 1


async def test_a_late_write_of_a_fenced_instance_is_covered_when_it_is_back(
    client: Client, log: MemoryLog, resyncer: Resyncer, monkeypatch: Any
) -> None:
    """Until it has registered again its intents are refused like stale ones; the write is not left alone (R7)."""
    insert, refused = log.insert, iter([True, True, False])

    async def fenced(intents: Sequence[Any], *, owner: Any) -> set[Any]:
        is_refused = bool(log.rows) and next(refused)
        return set() if is_refused else await insert(intents, owner=owner)

    monkeypatch.setattr(log, "insert", fenced)
    _stands_still(monkeypatch, resyncer, [False, True])
    assert status_of(await client.send("", upsert(1))) == "completed"
    assert len(log.rows) == 2


async def test_the_steps_of_a_write_are_named(
    client: Client, qdrant: Qdrant, journal: list[str], monkeypatch: Any
) -> None:
    """A test can stop an instance after the commit, and after the source's answer."""
    monkeypatch.setattr("service.steps.watch", lambda step: journal.append(step.value))
    await client.send("", upsert(1))
    assert journal == ["intent", "intent-committed", "source", "source-answered"]


class Hinting:
    """A ``HintPath`` that takes everything; ``moved`` is what a mover would put into the ledger."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.moved: dict[UUID, Intent] = {}

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        self.journal += ["hint"] * len(intents)
        self.moved |= {each.id: each for each in intents}
        return {each.id for each in intents}


@pytest.fixture
def hinting(writes: SourceWrites, log: MemoryLog, journal: list[str], monkeypatch: Any) -> Hinting:
    """Postgres is away, and intents become hints."""
    hinting = Hinting(journal)

    async def fail(intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        raise TargetUnavailable("is away")

    monkeypatch.setattr(log, "insert", fail)
    monkeypatch.setattr(writes._commits, "_hints", hinting)
    return hinting


async def test_a_hinted_write_is_settled_when_its_hint_was_moved(
    client: Client, hinting: Hinting, log: MemoryLog, at_work: Resyncer, journal: list[str]
) -> None:
    """Its end is known, so nothing is under way here; the sweep finds the intent once it is in the ledger (R6)."""
    assert status_of(await client.send("", upsert(1))) == "completed"
    assert journal == ["hint", "source"]
    assert at_work.is_idle
    log.rows |= hinting.moved
    await until(lambda: journal == ["hint", "source", "settled"])


async def test_a_hinted_write_under_way_is_not_settled(
    client: Client, hinting: Hinting, qdrant: Qdrant, log: MemoryLog, at_work: Resyncer
) -> None:
    """Its hint may have been moved, by us, before the source answers (R2)."""
    qdrant.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.send("", upsert(1)))
        await until(lambda: qdrant.requests)
        log.rows |= hinting.moved
        await asyncio.sleep(0.06)
        assert not log.settled
        qdrant.gate.set()
    await until(lambda: log.settled)


@pytest.mark.parametrize("reply", [SourceUnavailable("hung up"), completed(status="acknowledged")])
async def test_a_hinted_write_of_unknown_end_passes_a_barrier(
    client: Client,
    hinting: Hinting,
    qdrant: Qdrant,
    at_work: Resyncer,
    journal: list[str],
    reply: Any,
) -> None:
    """As with every other write, whether or not the hint was moved meanwhile (R1)."""
    qdrant.replies = [reply]
    with suppress(SourceUnavailable):
        await client.send("", upsert(1))
    await until(lambda: journal == ["hint", "source", "barrier", "settled"])


async def test_a_hinted_write_in_ramp_waits_for_no_second_store(
    client: Client, hinting: Hinting, qdrant: Qdrant, at_work: Resyncer
) -> None:
    """It is owed already, and nobody reads the target while this instance is marked (R11)."""
    assert status_of(await client.send("", upsert(1), state=RAMP)) == "completed"
    assert len(hinting.moved) == 1


async def test_a_late_hinted_write_is_covered_once_more(
    client: Client, hinting: Hinting, at_work: Resyncer, journal: list[str], monkeypatch: Any
) -> None:
    """Its first hint may have been moved and settled by others (R7)."""
    _stands_still(monkeypatch, at_work, [False, True])
    assert status_of(await client.send("", upsert(1))) == "completed"
    assert journal == ["hint", "source", "hint"]
    assert at_work.is_idle


async def test_a_hinted_write_that_never_left_is_forgotten(
    client: Client, hinting: Hinting, qdrant: Qdrant, at_work: Resyncer
) -> None:
    """Its hint is moved, and its ids are found equal."""
    qdrant.replies = [SourceUnavailable("is away", may_have_applied=False)]
    with pytest.raises(SourceUnavailable):
        await client.send("", upsert(1))
    assert at_work.is_idle


async def test_what_a_filter_met_in_ramp_is_owed(
    writes: SourceWrites, qdrant: Qdrant, log: MemoryLog
) -> None:
    """A write that nobody was told of may have taken a point out of its reach; on the target it still matches."""
    client = Client(writes)
    qdrant.replies = [SourceUnavailable("did not answer in time")]
    with suppress(SourceUnavailable):
        await client.send("", upsert(1), state=RAMP)
    assert [row.owed for row in log.rows.values()] == [False]
    await client.send("/delete", {"filter": COLOUR}, state=RAMP)
    assert [row.owed for row in log.rows.values()] == [True]


async def test_a_filter_is_answered_while_nobody_can_be_told_what_is_owed(
    writes: SourceWrites, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres fails at that very moment: the write is done all the same."""

    async def away(generation: int) -> None:
        raise TargetUnavailable("is away")

    monkeypatch.setattr(log, "owe", away)
    client = Client(writes)
    assert status_of(await client.send("/delete", {"filter": COLOUR}, state=RAMP)) == "completed"


async def test_a_write_to_a_collection_that_was_dropped_meanwhile_is_not_sent(
    writes: SourceWrites, log: MemoryLog, journal: list[str]
) -> None:
    """It could land, without an intent, in a collection of the name that is made a moment later."""
    dropped = replace(DUALWRITE, generation=None)
    with pytest.raises(StaleEpoch):
        await Client(writes).send("", upsert(1), state=dropped)
    assert not log.rows
    assert not journal
