"""structlog set-up: JSON lines in production, coloured columns on a terminal, one event name per line.

Libraries that log by the standard library's way (asyncio, uvicorn) end in the same stream, from warnings upwards.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_TRACES = frozenset({"exc_info", "stack_info"})
_stack = structlog.processors.StackInfoRenderer()


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
        shared.append(structlog.processors.format_exc_info)
        structlog.configure(
            processors=[_line],
            wrapper_class=structlog.make_filtering_bound_logger(minimum),
            logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
            cache_logger_on_first_use=True,
        )
        last: Processor = structlog.processors.JSONRenderer(serializer=_dumps_text)
    else:
        last = structlog.dev.ConsoleRenderer()
        structlog.configure(
            processors=[*shared, last],
            wrapper_class=structlog.make_filtering_bound_logger(minimum),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
            cache_logger_on_first_use=True,
        )
    _adopt_standard_library(shared, last)


def _adopt_standard_library(shared: list[Processor], last: Processor) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # It writes a traceback of sixty lines for each connection it could not open; we say once that Postgres is away.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


def _line(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
    """Write a line in one go: a chain of steps, each of which looks for what it is there for, takes twice as long."""
    structlog.contextvars.merge_contextvars(logger, method, event)
    structlog.processors.add_log_level(logger, method, event)
    event["timestamp"] = datetime.now(UTC)
    if not _TRACES.isdisjoint(event):
        event = _traced(logger, method, event)
    return orjson.dumps(event, default=str, option=orjson.OPT_UTC_Z)


def _traced(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event = _stack(logger, method, event)
    return structlog.processors.format_exc_info(logger, method, event)


def _dumps(value: Any, **_options: Any) -> bytes:  # noqa: ANN401 - structlog's serializer hook
    return orjson.dumps(value, default=str)


def _dumps_text(value: Any, **options: Any) -> str:  # noqa: ANN401
    return _dumps(value, **options).decode()
