"""``python -m tests.faults``: hurt a running system in every way there is, and prove that nothing was lost.

``SEED`` makes the random choices those of an earlier run; ``LIMIT`` (seconds) goes on with new seeds until the time is
over. Arguments choose drills: those whose name has all of them.
"""

import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import structlog

from tests.faults.campaign import Campaign
from tests.faults.drills import changes, disk, engines, jobs, kills, networks, outages, verifying

_DRILLS = (changes, kills, networks, engines, outages, jobs, verifying, disk)
_INTERRUPTED = 130
_LONG_RUN_SECONDS = 1_800


def main() -> int:
    """Run the drills; 0 only when everything held in every one of them."""
    seed = int(os.environ.get("SEED") or time.time_ns() % 1_000_000)
    limit = float(os.environ.get("LIMIT") or 0)
    if limit >= _LONG_RUN_SECONDS:
        os.environ.setdefault(outages.SECONDS_VARIABLE, "600")
    chosen = [
        drill
        for module in _DRILLS
        for drill in module.drills()
        if all(word in drill.name for word in sys.argv[1:])
    ]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    work = Path(tempfile.mkdtemp(prefix="vecferry-faults-"))
    print(f"faults: {len(chosen)} drills, SEED={seed}, logs in {work}", flush=True)
    campaign = Campaign(chosen, work, seed, limit)
    try:
        asyncio.run(_until_terminated(campaign))
    except KeyboardInterrupt:
        print(f"faults: FAILED interrupted {campaign.totals} SEED={seed} logs={work}")
        return _INTERRUPTED
    except Exception:  # noqa: BLE001 - the last line says how it ended, whatever went wrong
        traceback.print_exc()
        print(
            f"faults: FAILED the drills themselves broke {campaign.totals} SEED={seed} logs={work}"
        )
        return 1
    if campaign.is_good:
        shutil.rmtree(work, ignore_errors=True)
        print(f"faults: OK {campaign.totals}")
        return 0
    print(f"faults: FAILED {campaign.totals} SEED={seed} logs={work}")
    return 1


async def _until_terminated(campaign: Campaign) -> None:
    """Run, and treat SIGTERM like Ctrl-C, so that no process stays behind."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
    await campaign.run()


if __name__ == "__main__":
    sys.exit(main())
