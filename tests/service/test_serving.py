"""What is refused or warned about before anything is started."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service import serving
from service.config import Settings, load
from service.errors import ConfigurationError


def _refused(settings: Settings) -> str:
    with pytest.raises(ConfigurationError) as raised:
        serving.run(settings)
    return str(raised.value)


@pytest.mark.parametrize("host", ["not a host", "192.0.2.1"])
def test_a_wrong_host_is_not_blamed_on_the_port(host: str, tmp_path: Path) -> None:
    """A name that cannot be resolved, and an address of another machine, are the host's fault."""
    told = _refused(load(host=host, port=0, control_port=0, data_dir=tmp_path))
    assert told.startswith(f"VECFERRY_HOST: cannot listen on {host}:0: ")


@pytest.mark.parametrize(("grace", "warned"), [(60.0, True), (60.5, False)])
def test_a_grace_period_within_the_time_out_is_warned_about(
    grace: float, warned: bool, tmp_path: Path
) -> None:
    """A write may still reach Qdrant after its intent counts as settleable: the operator is told at start."""
    settings = load(
        host="not a host", qdrant_timeout_seconds=60.0, grace_seconds=grace, data_dir=tmp_path
    )
    with capture_logs() as logs:
        _refused(settings)
    assert [line["event"] for line in logs] == ["grace_within_qdrant_timeout"] * warned
