"""A short set of the drills, and that what they look for would be found."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import pytest

from tests.faults.campaign import Campaign
from tests.faults.drill import Drill, play
from tests.faults.drills import changes, engines, jobs, kills, networks
from tests.faults.history import History
from tests.faults.rig import system

_SEED = 20
_SHORT = (
    "stages up and down",
    "kill at intent-committed",
    "kill at resync-read",
    "kill at outbox-committed",
    "hold answers postgres, ramp",
    "kill -9 postgres, ramp",
    "backfill, qdrant silent",
)


def _short() -> Sequence[Drill]:
    modules = (changes, kills, networks, engines, jobs)
    found = {drill.name: drill for module in modules for drill in module.drills()}
    return [found[name] for name in _SHORT]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where a system lies: not below pytest's own directory, which Postgres' user may not enter."""
    with TemporaryDirectory(prefix="vecferry-faults-") as name:
        yield Path(name)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_short_set_holds(directory: Path) -> None:
    """Nothing is lost, nothing differs, the ledger drains, whatever was killed or held."""
    campaign = Campaign(_short(), directory, _SEED)
    await campaign.run()
    wrong = [line for score in campaign.scores for line in (score.line, *score.wrongs)]
    assert campaign.is_good, "\n".join(wrong)
    assert len(campaign.scores) == len(_SHORT)
    assert all(score.writes for score in campaign.scores)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_what_is_wrong_is_found(directory: Path) -> None:
    """A point taken from Qdrant around vecferry is lost and divergent; a client's error counts where none may be."""
    async with system(directory, instances=1) as rig:
        async with History.begun(rig, "tampered", _SEED, "shadow") as history:
            await history.settle()
            await history.judge()
            assert (history.lost, history.divergent) == ([], [])
            victim = history.writers[0].ids[0]
            await _delete_directly(rig.qdrant_url, "tampered", victim)
            await history.judge()
            assert len(history.lost) == 1
            assert len(history.divergent) == 1

        async def meddling(history: History) -> None:
            await _delete_directly(rig.qdrant_url, history.name, history.writers[0].ids[0])
            await history.drop()

        score = await play(Drill("meddled", "dualwrite", meddling, may_fail=False), rig, _SEED, "m")
        assert not score.is_good
        assert score.errors > 0
        assert json.loads((directory / "m.jsonl").read_text().splitlines()[0])


async def _delete_directly(url: str, collection: str, point_id: object) -> None:
    body = {"points": [point_id]}
    address = f"{url}/collections/{collection}/points/delete?wait=true"
    async with aiohttp.ClientSession() as http, http.post(address, json=body) as answer:
        answer.raise_for_status()
