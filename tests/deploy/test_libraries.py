"""docs/libraries.md and constraints.txt against pyproject.toml."""

import re
import tomllib

from tests.deploy.files import ROOT


def _name(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _required() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [each for extra in project["optional-dependencies"].values() for each in extra]
    return {_name(each) for each in project["dependencies"] + extras} - {"vecferry"}


def test_every_dependency_has_a_row_and_every_row_a_dependency() -> None:
    """The page names exactly the direct dependencies."""
    page = (ROOT / "docs" / "libraries.md").read_text()
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")]
    cells = {cell.strip() for row in rows for cell in row[:2]}
    headings = {"library", "licence", "extra"}
    extras = {"embedded", "knowledge", "demo"}
    licences = {cell for cell in cells if re.search(r"^(MIT|BSD|MPL|Apache)", cell)}
    assert cells - headings - extras - licences == _required()


def test_every_dependency_is_pinned_exactly() -> None:
    """constraints.txt holds one exact version of each direct dependency and nothing looser."""
    text = (ROOT / "constraints.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    names = [_name(line) for line in lines]
    assert len(names) == len(set(names))
    assert _required() <= set(names)
