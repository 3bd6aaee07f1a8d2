"""The history's own clock and ids, for the code under test."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from tests.interleavings.loop import ScriptedLoop


@contextmanager
def clock_and_ids(loop: ScriptedLoop) -> Iterator[None]:
    """Give the code under test the loop's clock, and random ids that are the same in every run."""

    def random_bytes(size: int) -> bytes:
        return next(loop.drawn).to_bytes(size, "big")

    with patch.object(time, "monotonic", loop.time), patch.object(os, "urandom", random_bytes):
        yield
