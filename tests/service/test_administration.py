"""The operator's verbs of ``Administration``, over a real control table."""

from collections.abc import Mapping
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from backfill.bell import Bell
from backfill.metrics import JobGauges
from backfill.watch import JobWatch
from service.administration import Administration
from service.control.change import StageChanges
from service.control.plane import ControlPlane
from service.control.state import CollectionState, View
from service.errors import TargetUnavailable
from service.jobs import LongJobs
from service.protocol.whole_ledger import WholeLedger
from service.stages import Side, Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.ledger import PostgresBook
from shadow.metrics import ShadowMetrics
from shadow.reads import ShadowReads
from shadow.sampling import Sampler
from tests.fakes import MemoryStore
from tests.service.planes import CONFIG, started_plane


class Granted:
    """Stage changes that all succeed."""

    async def change(self, name: str, stage: Stage, *, percent: int, actor: str) -> CollectionState:
        return CollectionState(name, stage, percent=percent)


@pytest.fixture
async def administration(database: Database) -> Administration:
    """Administration over one mirrored collection ``c``, without a Qdrant."""
    registry, control = CollectorRegistry(), PostgresControl(database)
    await control.arm("c", CONFIG, actor="test", is_new=True)
    plane = await started_plane(control)
    target, jobs = MemoryStore(), PostgresJobs(database)
    await target.create_collection("c", CONFIG)

    async def upkeep() -> Mapping[str, object]:
        return {}

    return Administration(
        plane=plane,
        changes=cast("StageChanges", Granted()),
        source=None,
        target=target,
        jobs=LongJobs(
            plane, jobs, JobWatch(jobs, JobGauges(registry)), Bell(), dict, has_source=False
        ),
        shadow=ShadowReads({Side.TARGET: target}, Sampler(0.0), ShadowMetrics(registry)),
        ledger=WholeLedger(PostgresBook(database), hints=None),
        upkeep=upkeep,
    )


async def test_going_back_to_off_forgets_the_parity(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures about tables that are gone must not open a gate later."""
    forgotten: list[str] = []
    monkeypatch.setattr(ShadowReads, "forget", lambda _, name: forgotten.append(name))
    await administration.set_stage("c", Stage.SHADOW, percent=100, actor="test")
    assert forgotten == []
    await administration.set_stage("c", Stage.OFF, percent=100, actor="test")
    assert forgotten == ["c"]


async def test_without_postgres_the_status_says_so(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last known stages are shown, and what cannot be known is not made up."""

    async def away(*_: object, **__: object) -> None:
        reason = "is not available"
        raise TargetUnavailable(reason)

    for asked, question in (
        (ControlPlane, "refresh"), (PostgresBook, "tallies"), (PostgresJobs, "latest_of_all"),
        (MemoryStore, "collection_info"),
    ):  # fmt: skip
        monkeypatch.setattr(asked, question, away)
    status = await administration.status()
    told = "Service unavailable: the target (Postgres) is not available"
    assert (status["target_error"], status["ledger_unread"]) == (told, {"target": told})
    assert status["upkeep"] is None
    (collection,) = cast("list[dict[str, object]]", status["collections"])
    assert (collection["stage"], collection["points"]) == ("dualwrite", None)
    assert (collection["backfill"], collection["verify"]) == (None, None)
    assert status["stages_known"] is True
    administration.plane.view = View(-1, (), default_stage=Stage.OFF, is_known=False)
    assert (await administration.status())["stages_known"] is False
