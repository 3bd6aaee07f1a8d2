"""The process itself: what it says at start, how it stops, and how it refuses to start."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

_STOP_SECONDS = 5.0  # the machine may be busy; waiting for an idle client would take ten


def _start(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "VECFERRY_DATA_DIR": str(tmp_path), **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "service", "serve", *arguments],
        env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _serving(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Read the log until both ports are known."""
    assert process.stderr is not None
    for line in process.stderr:
        if '"event":"serving"' in line:
            public, control = re.findall(r'"http://127\.0\.0\.1:(\d+)"', line)
            return int(public), int(control)
    pytest.fail("the process ended before it served")


def test_it_serves_and_stops_with_idle_clients_connected(tmp_path: Path, database_url: str) -> None:
    """SIGTERM ends it soon, with status 0, though clients keep their connections open."""
    process = _start(
        tmp_path, VECFERRY_QDRANT_URL="http://127.0.0.1:9", VECFERRY_DATABASE_URL=database_url,
        VECFERRY_PORT="0", VECFERRY_CONTROL_PORT="0",
    )  # fmt: skip
    with process:
        ports = _serving(process)
        idle = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for port in ports]
        answers = []
        for client in idle:
            client.request("GET", "/healthz")
            answer = client.getresponse()
            answers.append((answer.status, answer.read()))
        assert answers[0] == (200, b"healthz check passed")
        assert answers[1][0] == 404
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert time.monotonic() - started < _STOP_SECONDS
        assert process.stderr is not None
        assert '"event":"stopped"' in process.stderr.read()
        for client in idle:
            client.close()


@pytest.mark.parametrize("setting", ["PORT", "CONTROL_PORT"])
def test_a_port_in_use_is_one_line_before_anything_is_started(setting: str, tmp_path: Path) -> None:
    """No engine is started for an instance that cannot serve."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        variables = {"VECFERRY_PORT": "0", "VECFERRY_CONTROL_PORT": "0"}
        process = _start(tmp_path, **{**variables, f"VECFERRY_{setting}": str(port)})
        _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert error == (
        f"vecferry: VECFERRY_{setting}: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_one_line_and_status_2(tmp_path: Path) -> None:
    """Nothing is started and there is no stack trace."""
    process = _start(tmp_path, VECFERRY_PROT="1")
    _, error = process.communicate(timeout=60)
    assert (process.returncode, list(tmp_path.iterdir())) == (2, [])
    assert error == "vecferry: VECFERRY_PROT: no such setting (see docs/configuration.md)\n"


def test_an_option_names_its_setting(tmp_path: Path) -> None:
    """An option is checked like the variable that it overrides."""
    process = _start(tmp_path, "--port", "70000")
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error.startswith("vecferry: VECFERRY_PORT: ")) == (2, True)


def test_a_database_that_refuses_is_one_line(tmp_path: Path, database_url: str) -> None:
    """The start fails with status 2, the setting's name and the reason: only the operator can mend it."""
    process = _start(
        tmp_path, VECFERRY_QDRANT_URL="http://127.0.0.1:9", VECFERRY_PORT="0",
        VECFERRY_CONTROL_PORT="0", VECFERRY_DATABASE_URL=f"{database_url}_nowhere",
    )  # fmt: skip
    _, error = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in error) == (2, False)
    line = error.splitlines()[-1]
    assert line.startswith("vecferry: VECFERRY_DATABASE_URL: the database refused: ")


def test_a_database_that_does_not_answer_is_waited_for(tmp_path: Path) -> None:
    """The process serves what it can, says so without the password, and stops as always."""
    process = _start(
        tmp_path, VECFERRY_QDRANT_URL="http://127.0.0.1:9", VECFERRY_PORT="0",
        VECFERRY_CONTROL_PORT="0", VECFERRY_DATABASE_URL="postgresql://u:hush@127.0.0.1:9/d",
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if '"event":"started_without_postgres"' in line)
        _serving(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert "hush" not in said
