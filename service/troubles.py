"""Failures that repeat many times a second, said in the log when they begin, now and then, and when they are over."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from service.errors import VecferryError

_log = structlog.get_logger(__name__)

_EVERY_SECONDS = 30.0


class Trouble:
    """One kind of failure of one loop; ``event`` names it in the log."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._times = 0
        self._said_at = 0.0

    def goes_on(self, error: Exception) -> None:
        """Note one more failure, and say it if it is the first or nothing was said for a while."""
        self._times += 1
        now = time.monotonic()
        if self._times == 1 or now - self._said_at >= _EVERY_SECONDS:
            self._said_at = now
            _log.warning(self._event, error=str(error) or "no answer in time", times=self._times)

    @contextmanager
    def contained(self, fault: str) -> Iterator[None]:
        """Let no failure out of the block; one that is ours is said as ``fault``, with its trace."""
        try:
            yield
        except VecferryError as error:
            self.goes_on(error)
        except Exception:  # noqa: BLE001 - a fault of ours must not end a loop
            _log.exception(fault)
        else:
            self.is_over()

    def is_over(self) -> None:
        """Note that it works; said if it did not before."""
        if self._times:
            _log.info(f"{self._event}_no_more", times=self._times)
            self._times = 0
