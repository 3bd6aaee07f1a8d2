"""Where receipts are kept."""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from backfill.jobs import Job
from backfill.queue import Suspect

Document = Mapping[str, object]
"""A receipt as JSON values, signed where a key is set."""


class Receipts(Protocol):
    """Receipts of all collections, also of dropped ones. Every method raises ``TargetUnavailable``."""

    async def store(self, job: Job, document: Document) -> None:
        """Keep the receipt of a verification under its id; one that an earlier attempt has left is replaced.

        Raises ``StaleEpoch``, with nothing stored, when a later attempt has the job, or it has ended.
        """
        ...

    async def latest(self, collection: str) -> Document | None:
        """Return the newest one of a collection name, whichever generation it is of."""
        ...

    async def get(self, receipt: UUID) -> Document | None:
        """Return one by its id."""
        ...

    async def listed(self, collection: str | None, limit: int) -> Sequence[Mapping[str, object]]:
        """Return ``id``, ``collection``, ``generation``, ``clean`` and ``created_at``, the newest first."""
        ...

    async def differences(
        self, receipt: UUID, *, after: bytes | None, limit: int
    ) -> Sequence[Suspect] | None:
        """Return confirmed differences in the order of keys, behind ``after``; ``None`` once the job is gone.

        It goes with its collection, or when it is an old one.
        """
        ...
