"""Run the benchmark: ``python -m tests.bench [words of a case's area and name …]``."""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.bench import backfills, cases, dual_writes, searches
from tests.bench.measure import Row, measured
from tests.bench.report import show, write
from tests.bench.rig import BenchFailed, started
from tests.processes import ChildFailed

_REPORT = Path("build/bench.json")


def main() -> int:
    """Measure the cases whose area and name have all arguments, all cases without one; exit 1 if one cannot."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    began = time.perf_counter()
    try:
        rows = asyncio.run(_measure(sys.argv[1:], console))
    except (BenchFailed, ChildFailed) as failure:
        console.print(f"bench: FAILED {failure}", style="red", markup=False)
        return 1
    show(rows, console)
    write(rows, _REPORT)
    console.print(f"bench: {len(rows)} cases in {time.perf_counter() - began:.0f} s → {_REPORT}")
    return 0


async def _measure(wanted: list[str], console: Console) -> list[Row]:
    chosen = [
        case
        for case in (*cases.CASES, *backfills.CASES, *dual_writes.CASES, *searches.CASES)
        if all(word in f"{case.area} {case.name}" for word in wanted)
    ]
    with tempfile.TemporaryDirectory(prefix="vecferry-bench-") as name:
        directory = Path(name)
        # The embedded Postgres may run as another user than we do and must reach its files.
        directory.chmod(0o755)
        console.print(f"{os.cpu_count()} cores; starting Qdrant, Postgres and the proxy in {name}")
        async with started(directory) as rig:
            rows = []
            for case in chosen:
                console.print(f"measuring: {case.area}, {case.name}")
                rows.append(await measured(case, rig))
            return rows


if __name__ == "__main__":
    sys.exit(main())
