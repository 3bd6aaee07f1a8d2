"""``make parity``: every row and random filters, a table per feature, and what differs.

``python -m tests.parity [words of a row's label …] [--profile fast|deep] [--seed N]``; with words, no random filters
unless one of them is ``random``.
"""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import structlog

from service.embedded.postgres import EmbeddedPostgres
from tests.parity.drawn import Found, conditions, worlds
from tests.parity.report import Report
from tests.parity.rig import DataSetRefusedError, Rig, rig
from tests.parity.suite import all_rows, label

_DATABASE_VARIABLE = "VECFERRY_TEST_DATABASE_URL"
_RANDOM = "random filters"
_PROFILES = {"fast": (10, 100), "deep": (500, 110)}
"""How many random collections, and filters on each."""


def main() -> int:
    """Run the suite; 0 when every answer is equal or its difference is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity")
    parser.add_argument("words", nargs="*", help="only rows whose label contains all of them")
    parser.add_argument("--profile", choices=_PROFILES, default="fast")
    parser.add_argument("--seed", type=int, default=1, help="of the random filters")
    given = parser.parse_args()
    # Every request is a line in the log.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with TemporaryDirectory(prefix="vecferry-parity-") as folder:
        if url := os.environ.get(_DATABASE_VARIABLE):
            report = asyncio.run(_run(url, Path(folder), given))
        else:
            server = EmbeddedPostgres(Path(folder) / "postgres")
            try:
                report = asyncio.run(_run(server.start(), Path(folder), given))
            finally:
                server.stop()
    print(report.text())
    return 0 if report.is_ok else 1


async def _run(database_url: str, folder: Path, given: argparse.Namespace) -> Report:
    report = Report()
    async with rig(database_url, folder) as both:
        for feature, rows in all_rows().items():
            for row in rows:
                if all(word in label(feature, row) for word in given.words):
                    report.add(feature, row, await both.run(row))
        if not given.words or "random" in given.words:
            await _try_filters(both, report, given)
    return report


async def _try_filters(both: Rig, report: Report, given: argparse.Namespace) -> None:
    count, per_world = _PROFILES[given.profile]
    found, rng = Found(), Random(given.seed)
    for world in worlds(count, rng):
        try:
            await both.try_filters(world, conditions(per_world, rng), found)
        except DataSetRefusedError as error:
            found.differences.append(str(error))
            found.compared += 1
    report.add_filters(_RANDOM, found)


if __name__ == "__main__":
    sys.exit(main())
