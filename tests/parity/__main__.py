"""``make parity``: every row, random filters and random queries, a table per feature, and what differs.

``python -m tests.parity [words of a row's label …] [--profile fast|deep] [--seed N]``; with words, no random filters
and queries unless one of them is ``random`` (both), ``filters`` or ``queries``.
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
from tests.parity.query_worlds import world as query_world
from tests.parity.report import Report
from tests.parity.rig import DataSetRefusedError, Rig, rig
from tests.parity.suite import all_rows, label
from tests.parity.tried_queries import Tried

_DATABASE_VARIABLE = "VECFERRY_TEST_DATABASE_URL"
_FILTERS, _QUERIES = "filters", "queries"
_PROFILES = {
    "fast": {_FILTERS: (10, 100), _QUERIES: (5, 100)},
    "deep": {_FILTERS: (500, 110), _QUERIES: (150, 140)},
}
"""How many random collections, and filters and queries on each."""


def main() -> int:
    """Run the suite; 0 when every answer is equal or its difference is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity")
    parser.add_argument("words", nargs="*", help="only rows whose label contains all of them")
    parser.add_argument("--profile", choices=_PROFILES, default="fast")
    parser.add_argument("--seed", type=int, default=1, help="of what is random")
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
        for part, attempt in ((_FILTERS, _try_filters), (_QUERIES, _try_queries)):
            if not given.words or {"random", part} & set(given.words):
                await attempt(both, report, given)
    return report


async def _try_filters(both: Rig, report: Report, given: argparse.Namespace) -> None:
    count, per_world = _PROFILES[given.profile][_FILTERS]
    found, rng = Found(), Random(given.seed)
    for world in worlds(count, rng):
        try:
            await both.try_filters(world, conditions(per_world, rng), found)
        except DataSetRefusedError as error:
            found.differences.append(str(error))
            found.compared += 1
    report.add_random(f"random {_FILTERS}", found.compared, found.differences, found.contested)


async def _try_queries(both: Rig, report: Report, given: argparse.Namespace) -> None:
    count, per_world = _PROFILES[given.profile][_QUERIES]
    tried, rng = Tried(), Random(given.seed)
    for at in range(count):
        world = query_world(f"queried-{given.seed}-{at}", rng, is_named=at % 3 != 2)
        try:
            await both.try_queries(world, per_world, rng, tried)
        except DataSetRefusedError as error:
            tried.differences.append(str(error))
            tried.compared += 1
    report.add_random(f"random {_QUERIES}", tried.compared, tried.differences)


if __name__ == "__main__":
    sys.exit(main())
