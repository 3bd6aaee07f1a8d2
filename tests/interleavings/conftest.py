"""Quiet logs, and the sum of what was explored at the end."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.interleavings import searching


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of histories in which stores fail would log a line for every failure."""
    before = structlog.get_config()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent, cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many interleavings were explored."""
    if searching.total():
        terminalreporter.write_line(f"interleavings explored: {searching.total():,}")
