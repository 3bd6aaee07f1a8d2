"""``python -m tests.demo``: migrate a real corpus to pgvector under traffic, and prove it."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.demo.embed import VectorCache
from tests.demo.prepare import Prepared, prepare
from tests.demo.run import run
from tests.demo.show import Show
from tests.demo.verdict import Verdict

_POINTS = 5_000
_CACHE = Path(__file__).parents[2] / ".vecferry" / "demo-cache" / "vectors.sqlite"
_INTERRUPTED = 130


def main() -> int:
    """Run the demo; 0 only when everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--points", type=int, default=_POINTS, help="points in the legacy system")
    points: int = parser.parse_args().points
    show = Show(Console(highlight=False))
    work = Path(tempfile.mkdtemp(prefix="vecferry-demo-"))
    show.title("vecferry demo: from Qdrant to PostgreSQL + pgvector under traffic")
    show.say(f"  logs and data in {work}")
    try:
        prepared = prepare(points, VectorCache(_CACHE), show)
        verdict = asyncio.run(_until_terminated(prepared, work, show))
    except (ValueError, ModuleNotFoundError) as error:
        show.result(f"demo: FAILED ({error})", is_good=False)
        return 1
    except KeyboardInterrupt:
        show.result("demo: FAILED (interrupted)", is_good=False)
        return _INTERRUPTED
    is_good = not verdict.reasons
    if is_good:
        for store in ("qdrant", "postgres", "vecferry"):
            shutil.rmtree(work / store, ignore_errors=True)
    show.result(verdict.line, is_good=is_good)
    return 0 if is_good else 1


async def _until_terminated(prepared: Prepared, work: Path, show: Show) -> Verdict:
    """Run, and treat SIGTERM like Ctrl-C, so that no child process stays behind."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    return await run(prepared, work, show)


if __name__ == "__main__":
    sys.exit(main())
