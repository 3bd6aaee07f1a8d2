"""deploy/Dockerfile against the repository it is built from."""

import tomllib

from tests.deploy.files import ROOT, compose, instructions


def _values(keyword: str) -> list[str]:
    return [rest for name, rest in instructions() if name == keyword]


def _copied() -> set[str]:
    return {
        source
        for rest in _values("COPY")
        if not rest.startswith("--from")
        for source in rest.split()[:-1]
    }


def test_everything_copied_exists_and_is_in_the_build_context() -> None:
    """A source that .dockerignore leaves out, or that was renamed, would break the build."""
    kept = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert _copied() <= kept
    assert all((ROOT / source).exists() for source in _copied())


def test_every_package_of_the_distribution_is_copied() -> None:
    """A package that is found here but not copied would be missing in the image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        pattern.rstrip("*")
        for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages <= _copied()


def test_the_default_image_has_no_extras() -> None:
    """Torch and the embedded engines are asked for, never pulled in by default."""
    assert 'EXTRAS=""' in _values("ARG")
    assert compose()["services"]["vecferry"]["build"]["args"]["EXTRAS"] == "${IMAGE_EXTRAS:-}"


def test_it_runs_the_command_as_somebody_else_than_root() -> None:
    """The last user is not root, and the entry point is the script the distribution declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert _values("USER")[-1] not in {"root", "0"}
    assert _values("ENTRYPOINT") == ['["vecferry"]']
    assert "vecferry" in project["project"]["scripts"]


def test_the_python_of_the_image_is_one_we_support() -> None:
    """The base image is at least the Python that pyproject.toml requires."""
    image = next(rest for rest in _values("ARG") if rest.startswith("PYTHON_IMAGE="))
    major, minor = image.split(":")[1].split(".")[:2]
    assert (int(major), int(minor)) >= (3, 11)


def test_the_health_check_asks_healthz() -> None:
    """The container is healthy when the proxy answers, whatever the stores do."""
    assert "/healthz" in _values("HEALTHCHECK")[0]
