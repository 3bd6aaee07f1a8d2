"""Joins the fixture plug-ins and keeps every test away from the developer's own settings."""

import importlib.util
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from service.config import PREFIX

_TEST_SERVERS = f"{PREFIX}TEST_"

pytest_plugins = [
    plugin
    for plugin in ("tests.fix_postgres", "tests.fix_qdrant")
    if importlib.util.find_spec(plugin)
]

# Whoever runs the tests in the background of a shell has them ignore it, and what they start would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# `fast` is the default; HYPOTHESIS_PROFILE=deep looks for longer. Real engines answer at their
# own pace, so no example has a deadline.
settings.register_profile(
    "fast",
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "deep", parent=settings.get_profile("fast"), max_examples=2_000, derandomize=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide ``VECFERRY_*`` except ``VECFERRY_TEST_*``, which names servers to test against."""
    for name in list(os.environ):
        if name.startswith(PREFIX) and not name.startswith(_TEST_SERVERS):
            monkeypatch.delenv(name)
