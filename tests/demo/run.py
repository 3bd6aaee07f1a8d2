"""One whole run: processes, clients, migration, and the end of all of them."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.demo import legacy
from tests.demo.crowd import Crowd, gathered
from tests.demo.failures import DemoFailed
from tests.demo.journal import Journal
from tests.demo.migration import Addresses, Migration
from tests.demo.operator_cli import Operator
from tests.demo.prepare import Prepared
from tests.demo.show import Show
from tests.demo.verdict import Checked, Verdict
from tests.processes import (
    Child,
    ChildFailed,
    free_port,
    running,
    wait_for_dsn,
    wait_for_url,
    watch,
)

_CLIENTS = 6
_SHADOW_SAMPLE_RATE = "1.0"
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class System:
    """The running processes and how to reach them."""

    qdrant: Child
    children: tuple[Child, ...]
    addresses: Addresses
    operator: Operator


@asynccontextmanager
async def started(prepared: Prepared, work: Path, show: Show) -> AsyncIterator[System]:
    """Run the legacy Qdrant with its data, Postgres, and vecferry between them."""
    port = str(free_port())
    arguments = ["embedded", "qdrant", "--data-dir", str(work / "qdrant"), "--host", _HOST]
    async with running("qdrant", [*arguments, "--port", port], {}, work) as qdrant:
        qdrant_url = f"http://{_HOST}:{port}"
        await wait_for_url(qdrant, f"{qdrant_url}/collections")
        with show.progress("points in the legacy Qdrant", len(prepared.legacy)) as progress:
            await asyncio.to_thread(legacy.write, qdrant_url, prepared.legacy, progress)
        arguments = ["embedded", "postgres", "--data-dir", str(work / "postgres")]
        port = str(free_port())
        async with running("postgres", [*arguments, "--port", port], {}, work) as postgres:
            dsn = await wait_for_dsn(postgres)
            async with _proxy(qdrant_url, dsn, work) as (proxy, url, operator):
                show.say(f"  Qdrant at {qdrant_url}, Postgres at {dsn.rpartition('@')[2]}")
                show.say(f"  vecferry at {url}, the only address the clients know\n")
                addresses = Addresses(qdrant_url, dsn, url)
                yield System(qdrant, (qdrant, postgres, proxy), addresses, operator)


@asynccontextmanager
async def _proxy(
    qdrant_url: str, dsn: str, work: Path
) -> AsyncIterator[tuple[Child, str, Operator]]:
    port, control_port = free_port(), free_port()
    environment = {
        "VECFERRY_QDRANT_URL": qdrant_url,
        "VECFERRY_DATABASE_URL": dsn,
        "VECFERRY_PORT": str(port),
        "VECFERRY_CONTROL_PORT": str(control_port),
        "VECFERRY_DATA_DIR": str(work / "vecferry"),
        "VECFERRY_SHADOW_SAMPLE_RATE": _SHADOW_SAMPLE_RATE,
        # A verification waits as long as a write that was given up may still land: here nothing is far away.
        "VECFERRY_QDRANT_TIMEOUT_SECONDS": "8",
        "VECFERRY_GRACE_SECONDS": "10",
    }
    async with running("vecferry", ["serve"], environment, work) as proxy:
        url = f"http://{_HOST}:{port}"
        await wait_for_url(proxy, f"{url}/readyz")
        yield proxy, url, Operator(environment, work / "operator.log")


async def run(prepared: Prepared, work: Path, show: Show) -> Verdict:
    """Perform the demo; what goes wrong with the product is in the verdict, never raised."""
    journal = Journal()
    checked: Checked | None = None
    reasons: list[str] = []
    try:
        async with (
            started(prepared, work, show) as system,
            gathered(
                system.addresses.proxy, _CLIENTS, prepared.legacy, prepared.material, journal
            ) as crowd,
        ):
            migration = Migration(system.addresses, system.operator, crowd, journal, show)
            checked = await _under_traffic(system, crowd, migration, prepared)
    except* (DemoFailed, ChildFailed) as failures:
        reasons += [str(failure) for failure in _leaves(failures)]
    except* Exception as failures:  # noqa: BLE001 - what a store answers can break any reader
        show.say("".join(traceback.format_exception(failures)))
        reasons += [f"{type(failure).__name__}: {failure}" for failure in _leaves(failures)]
    show.first("wrong answers", journal.complaints)
    show.first("differences", checked.differing if checked else ())
    for reason in reasons:
        show.say(reason)
    headlines = [reason.partition("\n")[0] for reason in reasons]
    failure = "; ".join(dict.fromkeys(headlines)) or None
    return Verdict(journal.requests, len(journal.complaints), checked, failure)


async def _under_traffic(
    system: System, crowd: Crowd, migration: Migration, prepared: Prepared
) -> Checked:
    async with asyncio.TaskGroup() as tasks:
        watchers = {child: tasks.create_task(watch(child)) for child in system.children}
        tasks.create_task(crowd.run())
        await migration.move()
        checked = await migration.check(prepared.questions)
        watchers[system.qdrant].cancel()
        await migration.complete(system.qdrant)
        await crowd.stop()
        for watcher in watchers.values():
            watcher.cancel()
    late = await migration.compare_target()
    return Checked(checked.points, [*checked.differing, *late], checked.parity)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
