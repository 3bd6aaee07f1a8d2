"""The register and the hints where there is no Qdrant: nothing can be kept there."""

from collections.abc import Sequence

from service.control.register import Mark, Record, SourceRegister
from service.errors import SourceUnavailable

_NOT_CONFIGURED = "is not configured"


class NoRegister:
    """``SourceRegister`` without a source."""

    async def prepare(self) -> None:
        """Fail."""
        raise _unavailable()

    async def record(self, name: str) -> Record | None:  # noqa: ARG002 - the port's signature
        """Fail."""
        raise _unavailable()

    async def records(self) -> Sequence[Record]:
        """Fail."""
        raise _unavailable()

    async def swap(self, record: Record) -> bool:  # noqa: ARG002 - the port's signature
        """Fail."""
        raise _unavailable()

    async def mark(self, mark: Mark) -> None:  # noqa: ARG002 - the port's signature
        """Fail."""
        raise _unavailable()

    async def unmark(self, mark: Mark) -> None:  # noqa: ARG002 - the port's signature
        """Fail."""
        raise _unavailable()

    async def marks(self) -> Sequence[Mark]:
        """Fail."""
        raise _unavailable()


class NoHints:
    """``HintCount`` without a source."""

    async def count(self, generation: int | None = None) -> int:  # noqa: ARG002 - the port's signature
        """Fail."""
        raise _unavailable()


def _unavailable() -> SourceUnavailable:
    return SourceUnavailable(_NOT_CONFIGURED, may_have_applied=False)


def _proves_port(register: NoRegister) -> SourceRegister:
    return register
