"""``python -m tests.fuzz [SECONDS] [SEED]``: rounds of requests until the time is over; a table and a last line."""

import asyncio
import logging
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from hypothesis import HealthCheck, Phase, given, seed, settings

from service.embedded.postgres import EmbeddedPostgres
from service.stores.postgres.migrate import migrate
from tests.fuzz.requests import Request, requests
from tests.fuzz.right import READS, WRITES
from tests.fuzz.rounds import Findings, Game
from tests.fuzz.running import running_rig

_SECONDS = 600.0
_MOST = 1_000_000


def main() -> None:
    """Run, print, and exit 1 when something was wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else _SECONDS
    number = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    with TemporaryDirectory(prefix="vecferry-fuzz-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            findings = _run(postgres.start(), Path(folder), seconds, number)
        finally:
            postgres.stop()
    _print(findings)
    verdict = "FAILED" if findings.wrong else "OK"
    shares = f"reads_200={findings.share(READS):.2f} writes_200={findings.share(WRITES):.2f}"
    counts = f"requests={findings.requests} {shares} wrong={len(findings.wrong)}"
    print(f"fuzz: {verdict} {counts} seed={number}")
    sys.exit(bool(findings.wrong))


class _Over(KeyboardInterrupt):
    """The time is over: Hypothesis takes any other exception for a failure."""


def _run(url: str, folder: Path, seconds: float, number: int) -> Findings:
    ends = time.monotonic() + seconds
    asyncio.run(migrate(url))
    with running_rig(url, folder) as running:
        game = Game(running.both)

        @seed(number)
        @settings(
            max_examples=_MOST,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(requests())
        def one(request: Request) -> None:
            if time.monotonic() > ends:
                raise _Over
            running.wait(game.play(request))

        with suppress(_Over):
            one()
    return game.findings


def _print(findings: Findings) -> None:
    operations = sorted({operation for operation, _ in findings.statuses})
    for operation in operations:
        counts = {
            HTTPStatus(status): count
            for (name, status), count in sorted(findings.statuses.items())
            if name == operation
        }
        told = "  ".join(f"{status.value}: {count}" for status, count in counts.items())
        print(f"{operation:40s} {told}")
    print(findings)


if __name__ == "__main__":
    main()
