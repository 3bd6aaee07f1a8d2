"""House rules that no linter knows: module size, empty package files, links between pages."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 400
PACKAGES = ("service", "shadow", "backfill")

_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def _modules() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def test_no_module_outgrows_one_idea() -> None:
    """A module of more than 400 lines is two modules."""
    sizes = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in _modules()}
    assert {path: size for path, size in sizes.items() if size > MOST_LINES} == {}


def test_every_package_has_a_docstring_and_nothing_else_in_its_init() -> None:
    """Importing a package runs nothing, and every folder of modules is a package."""
    folders = {path.parent for path in _modules()}
    inits = [folder / "__init__.py" for folder in folders]
    assert [init for init in inits if not init.is_file()] == []
    for init in inits:
        tree = ast.parse(init.read_text())
        assert ast.get_docstring(tree), init
        assert len(tree.body) == 1, init


PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("deploy/**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_hold(page: Path) -> None:
    """A page links to files that are there."""
    missing = [
        link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()
    ]
    assert missing == []


def test_every_page_is_in_the_index() -> None:
    """docs/README.md names every page beside it."""
    named = set(_LINK.findall((ROOT / "docs" / "README.md").read_text()))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - named == {"README.md"}
