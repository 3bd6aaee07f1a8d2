"""The operator's long jobs: what ends them, and what their end does to everything else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest
from prometheus_client import CollectorRegistry
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs

from backfill.ports import Jobs
from backfill.run import Backfill
from backfill.verify import Verification
from service.administration import Administration, BuildIndexes, LongJob
from service.control.change import StageChanges
from service.control.plane import ControlPlane
from service.control.recorder import Recorder
from service.control.sealing import Seals
from service.control.state import CollectionState, View
from service.errors import CollectionNotFound, SourceUnavailable, StageError, TargetUnavailable
from service.metrics import ProxyMetrics
from service.model.qdrant import CreateCollection
from service.protocol.whole_ledger import WholeLedger
from service.stages import Side, Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.ledger import PostgresBook
from shadow.metrics import ShadowMetrics
from shadow.reads import ShadowReads
from shadow.sampling import Sampler
from tests.fakes import MemoryStore
from tests.service.control.fakes import MemoryRegister
from tests.service.running import running, until

CONFIG = CreateCollection.model_validate({"vectors": {"size": 2, "distance": "Dot"}})


class Receipt:
    """The only thing that a job asks of a receipt."""

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {"clean": True}


class Scripted:
    """A verification that does what the test says."""

    def __init__(self) -> None:
        self.script: Callable[[], Awaitable[Receipt]] = self.succeed
        self.runs = 0

    async def succeed(self) -> Receipt:
        """Find nothing."""
        return Receipt()

    async def run(self, name: str, *, epoch: int) -> Receipt:
        """Run the script."""
        assert (name, epoch) == ("c", 1)
        self.runs += 1
        return await self.script()


@pytest.fixture
def scripted() -> Scripted:
    """The verification."""
    return Scripted()


@pytest.fixture
async def administration(database: Database, scripted: Scripted) -> AsyncIterator[Administration]:
    """Administration on a real control table with one mirrored collection ``c``; they run jobs."""
    registry, control = CollectorRegistry(), PostgresControl(database)
    register = MemoryRegister()
    await control.arm("c", CONFIG, actor="test", is_new=True)

    async def aliases() -> dict[str, str]:
        return {}

    async def config(_: str) -> CreateCollection:
        return CONFIG

    async def follow(_: CollectionState) -> None:
        pytest.fail("nothing is copied here")

    plane = ControlPlane(
        control,
        default_stage=Stage.OFF,
        load_aliases=aliases,
        metrics=ProxyMetrics(registry),
    )
    await plane.start()
    target = MemoryStore()
    await target.create_collection("c", CONFIG)
    made = Administration(
        plane=plane,
        control=control,
        changes=StageChanges(
            plane,
            control,
            Seals(
                Recorder(plane, register, control),
                register,
                register,
                control,
                seconds=1.0,
                grace_seconds=1.0,
            ),
            read_source_config=config,
            follow=follow,
            freeze_seconds=1.0,
        ),
        source=None,
        target=target,
        jobs=cast("Jobs", None),
        backfill=None,
        verification=cast("Verification", scripted),
        build_indexes=cast("BuildIndexes", None),
        follow=follow,
        shadow=ShadowReads({Side.TARGET: target}, Sampler(0.0), ShadowMetrics(registry)),
        ledger=WholeLedger(PostgresBook(database), hints=None),
    )
    async with running(made.run()):
        await asyncio.sleep(0)
        yield made


async def _ended(job: LongJob) -> LongJob:
    await until(lambda: not job.is_running)
    return job


async def test_a_job_ends_with_its_result(administration: Administration) -> None:
    """It is found by kind and name, and its receipt is its result."""
    job = await _ended(await administration.start_verify("c"))
    assert administration.job("verify", "c") is job
    assert job.to_json() == {
        "kind": "verify", "collection": "c", "state": "done", "step": "running",
        "result": {"clean": True}, "error": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "told", "events"),
    [
        (SourceUnavailable("is away"), "the source (Qdrant) is away", []),
        (ZeroDivisionError("by nothing"), "ZeroDivisionError: by nothing", ["job_failed"]),
    ],
)
async def test_a_failure_is_reported_and_ends_nothing_else(
    administration: Administration,
    scripted: Scripted,
    error: Exception,
    told: str,
    events: list[str],
) -> None:
    """Expected or a fault of ours: the job says so, the log has the fault, and the next job runs."""

    async def fail() -> Receipt:
        raise error

    scripted.script = fail
    with capture_logs() as logs:
        job = await _ended(await administration.start_verify("c"))
    assert (job.result, told in (job.error or "")) == (None, True)
    assert [line["event"] for line in logs] == events
    scripted.script = scripted.succeed
    again = await _ended(await administration.start_verify("c"))
    assert (again is job, again.error) == (False, None)


async def test_a_backfill_copies_only_what_it_has_waited_for(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that was given up and begun anew meanwhile has older writes of its own to wait for (R9)."""

    async def begun_anew(_: CollectionState) -> float:
        await administration.control.arm("c", CONFIG, actor="other", is_new=False)
        return 0.0

    monkeypatch.setattr(administration.changes, "seconds_until_armed", begun_anew)
    administration.backfill = cast("Backfill", object())
    job = await _ended(await administration.start_backfill("c", restart=False))
    assert "begun anew" in (job.error or "")


async def test_a_running_job_is_not_started_twice(
    administration: Administration, scripted: Scripted
) -> None:
    """Who asks again follows the same job."""
    go_on = asyncio.Event()

    async def wait() -> Receipt:
        await go_on.wait()
        return Receipt()

    scripted.script = wait
    first = await administration.start_verify("c")
    await asyncio.sleep(0)
    assert await administration.start_verify("c") is first
    go_on.set()
    await _ended(first)
    assert scripted.runs == 1


async def test_an_instance_that_is_not_serving_starts_nothing(
    administration: Administration,
) -> None:
    """A job without an owner would be nobody's."""
    administration._tasks = None
    with pytest.raises(StageError, match="does not run jobs yet"):
        await administration.start_verify("c")


async def test_without_a_source_there_is_nothing_to_copy(administration: Administration) -> None:
    """The refusal names the stage that is needed."""
    with pytest.raises(StageError, match="needs dualwrite"):
        await administration.start_backfill("c", restart=False)


@pytest.mark.parametrize(
    ("pattern", "found"), [("a[1]", ["a[1]"]), ("a[0-9]", ["a1"]), ("a*", ["a1", "a[1]"])]
)
async def test_an_exact_name_wins_over_a_pattern(
    administration: Administration, database: Database, pattern: str, found: list[str]
) -> None:
    """A name with brackets can be asked for; it is a pattern only where no collection has it."""
    control = PostgresControl(database)
    for name in ("a1", "a[1]"):
        await control.arm(name, CONFIG, actor="test", is_new=True)
    assert await administration.matching(pattern) == found
    with pytest.raises(CollectionNotFound):
        await administration.matching("b*")


async def test_a_collection_that_is_mirrored_only_by_default_says_how_to_begin(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its first request it has no tables: neither job can run, and the command that makes them is named."""
    monkeypatch.setattr(administration.plane, "_default_stage", Stage.DUALWRITE)
    monkeypatch.setattr(administration, "backfill", cast("Backfill", object()))
    await administration.control.touch()
    told = "`new` is not mirrored yet; run `vecferry stage set new dualwrite`"
    with pytest.raises(StageError, match=told):
        await administration.start_backfill("new", restart=False)
    with pytest.raises(StageError, match=told):
        await administration.start_verify("new")


async def test_going_back_to_off_forgets_the_parity(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures about tables that are gone must not open a gate later."""
    forgotten: list[str] = []
    monkeypatch.setattr(ShadowReads, "forget", lambda _, name: forgotten.append(name))
    await administration.set_stage("c", Stage.SHADOW, percent=100, actor="test")
    assert forgotten == []
    state = await administration.set_stage("c", Stage.OFF, percent=100, actor="test")
    assert (state.stage, forgotten) == (Stage.OFF, ["c"])


async def test_a_jobs_log_lines_are_not_those_of_the_request_that_began_it(
    administration: Administration,
) -> None:
    """Hours later they would be found under a request that was answered at once."""
    with bound_contextvars(request_id="r-1"):
        job = await administration.start_verify("c")
    with capture_logs(processors=[merge_contextvars]) as logs:
        await _ended(job)
        await until(lambda: logs)
    assert [(line["event"], "request_id" in line) for line in logs] == [("job_done", False)]


async def test_a_dropped_collection_is_not_said_to_be_unmirrored(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropped in `live` the name keeps its stage; `stage set … dualwrite` would be the wrong advice."""
    view = View(9, [CollectionState("c", Stage.LIVE)], default_stage=Stage.OFF)

    async def refresh() -> View:
        return view

    monkeypatch.setattr(administration.plane, "refresh", refresh)
    with pytest.raises(StageError, match="`c` was dropped"):
        await administration.start_verify("c")


async def test_without_postgres_the_status_says_so(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last known stages are shown, and what cannot be known is not made up."""

    async def away(*_: object, **__: object) -> None:
        reason = "is not available"
        raise TargetUnavailable(reason)

    monkeypatch.setattr(administration.plane, "refresh", away)
    monkeypatch.setattr(PostgresBook, "tallies", away)
    status = await administration.status()
    told = "Service unavailable: the target (Postgres) is not available"
    assert (status["target_error"], status["ledger_unread"]) == (told, {"target": told})
    (collection,) = cast("list[dict[str, object]]", status["collections"])
    assert (collection["stage"], collection["points"]) == ("dualwrite", None)
    assert status["stages_known"] is True
    administration.plane.view = View(-1, (), default_stage=Stage.OFF, is_known=False)
    assert (await administration.status())["stages_known"] is False
