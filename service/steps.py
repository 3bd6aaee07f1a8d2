"""The named points of the protocol, so that a test can stop, kill or delay an instance exactly there.

``reached`` does nothing in production. A test process sets ``watch`` before it starts serving.
"""

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """A point between two effects that others can see; named by what has just happened."""

    INTENT_COMMITTED = "intent-committed"
    """Postgres has the intent, the source has not seen the write."""
    SOURCE_ANSWERED = "source-answered"
    """The source has the write, the client has no answer."""
    RESYNC_LOCKED = "resync-locked"
    """A resync holds its ids' locks and intents and has read nothing."""
    RESYNC_READ = "resync-read"
    """A resync has read the source."""
    RESYNC_WRITTEN = "resync-written"
    """A resync has written the target and deleted the intents; nothing is committed."""
    RESYNC_COMMITTED = "resync-committed"
    OUTBOX_WRITTEN = "outbox-written"
    """The intent of a write of the target's is in the write's transaction, which is not committed."""
    OUTBOX_COMMITTED = "outbox-committed"
    """They are committed, the client has no answer."""
    PUSH_ATTEMPTED = "push-attempted"
    """A reverse resync has committed its attempt (R8), the source has not seen the push."""
    PUSHED = "pushed"
    """The source has the push, the intents are still there."""
    PUSH_SETTLED = "push-settled"
    DETACHED = "detached"
    """An instance without Postgres has said so in the source (R6)."""
    HINT_WRITTEN = "hint-written"
    """The source has the hint; its record of the stage was not read yet."""
    HINT_CHECKED = "hint-checked"
    """The record allows the write; the source has not seen it."""
    HINTS_READ = "hints-read"
    """Hints were read to be moved to the ledger."""
    HINTS_TAKEN = "hints-taken"
    """They are in the ledger, and still in the source."""
    HINTS_DISCARDED = "hints-discarded"
    STAGE_FROZEN = "stage-frozen"
    """Postgres holds the freeze, the source's record does not."""
    RECORD_FROZEN = "record-frozen"
    """Both hold it."""
    STAGE_PUBLISHED = "stage-published"
    """Postgres has the new stage, the source's record has not."""
    RECORD_SYNCED = "record-synced"
    CHANGE_INTENDED = "change-intended"
    """A change of a whole collection has its ``*`` intent, neither store has the change."""
    CHANGE_ON_SOURCE = "change-on-source"
    """The source has it, Postgres does not."""
    CHANGE_SETTLED = "change-settled"


def _nothing(step: Step) -> None:
    """Production: nobody watches."""


watch: Callable[[Step], None] = _nothing
"""Called at every step by the code that reaches it."""


def reached(step: Step) -> None:
    """Say that a step was reached."""
    watch(step)
