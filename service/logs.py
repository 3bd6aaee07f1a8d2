"""structlog set-up: JSON lines in production, coloured columns on a terminal, one event name per line."""

import logging
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import Processor


def configure(*, level: str, output: str) -> None:
    """Send all logs to standard error. ``output`` is ``auto``, ``json`` or ``console``."""
    as_json = output == "json" or (output == "auto" and not sys.stderr.isatty())
    minimum = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if as_json:
        structlog.configure(
            processors=[
                *shared,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(minimum),
            logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
            cache_logger_on_first_use=True,
        )
    else:
        structlog.configure(
            processors=[*shared, structlog.dev.ConsoleRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(minimum),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
            cache_logger_on_first_use=True,
        )


def _dumps(value: Any, **_options: Any) -> bytes:  # noqa: ANN401 - structlog's serializer hook
    return orjson.dumps(value, default=str)
