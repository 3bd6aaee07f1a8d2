"""``python -m tests.fuzz [SECONDS] [SEED]``: rounds of requests until the time is over; a table and a last line."""

import asyncio
import sys
import time
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from service.embedded.postgres import EmbeddedPostgres
from service.stores.postgres.migrate import migrate
from tests.fuzz.requests import Request, requests
from tests.fuzz.rounds import Findings, play
from tests.fuzz.running import running_rig

_SECONDS = 600.0
_ROUND = 20
_ROUNDS_PER_SECOND = 5
"""At most; when the time is over the rest is drawn but not sent."""


def main() -> None:
    """Run, print, and exit 1 when something was wrong."""
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
    print(f"fuzz: {verdict} requests={findings.requests} wrong={len(findings.wrong)} seed={number}")
    sys.exit(bool(findings.wrong))


def _run(url: str, folder: Path, seconds: float, number: int) -> Findings:
    findings, ends = Findings(), time.monotonic() + seconds
    asyncio.run(migrate(url))
    with running_rig(url, folder) as running:

        @seed(number)
        @settings(
            max_examples=int(seconds * _ROUNDS_PER_SECOND),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(requests(), min_size=_ROUND, max_size=_ROUND))
        def rounds(drawn: list[Request]) -> None:
            if time.monotonic() < ends:
                running.wait(play(running.both, drawn, findings))

        rounds()
    return findings


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
