"""The JavaScript client, unmodified, against a vecferry on Postgres alone."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from service.config import load
from tests.service.wired import listening, wired

_HERE = Path(__file__).parent / "js"
_INSTALL_SECONDS = 90
_TOUR_SECONDS = 60


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the tour and the client beside it, as the lock file names it."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js with npm is not installed")
    folder = tmp_path_factory.mktemp("js")
    for name in ("package.json", "package-lock.json", "tour.mjs"):
        shutil.copy(_HERE / name, folder)
    command = [npm, "ci", "--no-audit", "--no-fund", "--prefer-offline"]
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, timeout=_INSTALL_SECONDS
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install the client: {error}")
    return folder


async def test_the_javascript_client(package: Path, database_url: str, tmp_path: Path) -> None:
    """Every method of the client that there is on a single node, and the endpoints that older releases called."""
    settings = load(database_url=database_url, data_dir=tmp_path, default_stage="complete")
    async with wired(settings) as running, listening(running.instance.proxy) as (host, port):
        tour = await asyncio.create_subprocess_exec(
            *("node", "tour.mjs", f"http://{host}:{port}"),
            cwd=package,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(_TOUR_SECONDS):
            output, _ = await tour.communicate()
    assert tour.returncode == 0, output.decode()
