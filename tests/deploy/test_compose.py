"""deploy/docker-compose.yml and .env.example against the settings and against each other."""

import os
import re
import shutil
import subprocess

import pytest

from service import serving
from service.config import PREFIX, Settings, load
from tests.deploy.files import COMPOSE_FILE, Tree, compose, env_example, instructions

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?[^}]*)?\}")


@pytest.fixture(name="services")
def _services() -> dict[str, Tree]:
    services = compose()["services"]
    assert isinstance(services, dict)
    return services


def filled_in(text: str, values: dict[str, str]) -> str:
    """Replace ``${NAME:-default}`` and ``${NAME:?…}`` as compose does."""
    return _VARIABLE.sub(lambda hit: values.get(hit["name"]) or hit["default"] or "", text)


def test_the_proxys_environment_is_a_valid_configuration(
    services: dict[str, Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What compose and the image set is accepted by the settings, unknown names refused."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    values = env_example() | {"POSTGRES_PASSWORD": "secret"}
    image = dict(
        pair.split("=", 1)
        for keyword, rest in instructions()
        if keyword == "ENV"
        for pair in rest.split()
    )
    for name, value in (image | services["vecferry"]["environment"]).items():
        if name.startswith(PREFIX):
            monkeypatch.setenv(name, filled_in(value, values))
    settings = load()
    assert settings.qdrant_url == "http://qdrant:6333"
    assert settings.host == "0.0.0.0"
    assert settings.database_url is not None
    assert "vecferry:secret@postgres:5432" in settings.database_url.get_secret_value()


def test_every_variable_of_ours_is_a_setting() -> None:
    """A renamed setting must not live on in the compose file or the example."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    used = set(re.findall(rf"\b{PREFIX}[A-Z_]+", COMPOSE_FILE.read_text())) | {
        name for name in env_example() if name.startswith(PREFIX)
    }
    assert used
    assert used <= known


def test_the_example_names_exactly_the_variables_that_are_read() -> None:
    """An operator finds every variable of the compose file in .env.example and no other."""
    assert set(env_example()) == {
        hit["name"] for hit in _VARIABLE.finditer(COMPOSE_FILE.read_text())
    }


def test_images_are_pinned(services: dict[str, Tree]) -> None:
    """Each image carries a version with at least two numbers."""
    tags = {name: service["image"].partition(":")[2] for name, service in services.items()}
    assert all(re.search(r"\d+\.\d+", tag) for tag in tags.values()), tags


def test_references_between_services_and_volumes_hold(services: dict[str, Tree]) -> None:
    """Dependencies name services, mounts name declared volumes or files that exist."""
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            declared = source in compose()["volumes"]
            assert declared or (COMPOSE_FILE.parent / source).is_file(), source


def test_who_is_waited_for_can_become_healthy(services: dict[str, Tree]) -> None:
    """``service_healthy`` on a service without a health check would wait for ever."""
    waited_for = {
        name
        for service in services.values()
        if isinstance(service.get("depends_on"), dict)
        for name, how in service["depends_on"].items()
        if how["condition"] == "service_healthy"
    }
    assert waited_for == {"qdrant", "postgres"}
    assert all("healthcheck" in services[name] for name in waited_for)


def test_ports_are_published_on_loopback_only(services: dict[str, Tree]) -> None:
    """Nothing is open to the network unless somebody decides it."""
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_grace_period_outlasts_the_drain(services: dict[str, Tree]) -> None:
    """A stopping proxy finishes the requests it has before it is killed."""
    seconds = int(services["vecferry"]["stop_grace_period"].removesuffix("s"))
    assert seconds > serving.DRAIN_SECONDS


def test_compose_accepts_the_file() -> None:
    """The compose client, where there is one, parses and resolves the file."""
    client = compose_client()
    if client is None:
        pytest.skip("no compose client on this machine")
    done = run([*client, "-f", str(COMPOSE_FILE), "config", "--quiet"])
    assert done.returncode == 0, done.stderr


def compose_client() -> list[str] | None:
    """Return the command of the compose client: the docker plug-in or the older program."""
    for client in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(client[0]) and run([*client, "version"]).returncode == 0:
            return client
    return None


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command with the one variable set that has no default."""
    environment = os.environ | {"POSTGRES_PASSWORD": "secret"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
