"""The explorations: each model whole, and each rule taken out of it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """A model with what is defined for it; ``rule`` says what a mutation takes out, empty for the model itself."""

    model: str
    defines: Sequence[str] = ()
    rule: str = ""

    @property
    def name(self) -> str:
        """The case as it is called on the command line and in a test's id."""
        return " ".join((self.model, *self.defines))


BASES = (Case("source"), Case("target"), Case("stage"))

DEEP = (
    Case("source", ["STRICT"]),
    Case("target", ["NO_ATTEMPT"]),
    Case("target", ["NO_LOCK"]),
)
"""Explored by ``make model`` only: a stronger claim, and two rules of which one is enough."""


def _without(model: str, rules: dict[str, str]) -> tuple[Case, ...]:
    return tuple(Case(model, flag.split(), rule) for flag, rule in rules.items())


MUTATIONS = (
    *_without(
        "source",
        {
            "NO_INTENT": "the intent",
            "NO_LOCK": "the ids' locks",
            "READ_BEFORE_LOCK": "the read under the lock",
            "ACKNOWLEDGED_IS_DONE": "R1: the barrier after `acknowledged`",
            "SETTLE_ALL": "R2: settle only what has ended",
            "FORGET_REFUSED": "R3: a resync after a refusal, too",
            "NO_ZOMBIE_CHECK": "R7: a slow owner looks at its clock",
            "CHECK_ONLY_AFTER": "R7: … before it sends, not only afterwards",
            "NO_TOMBSTONE": "R13: tombstones",
        },
    ),
    *_without(
        "target",
        {
            "TWO_TRANSACTIONS": "data and intent in one transaction",
            "NO_LOCK NO_ATTEMPT": "R8: pushes take turns (locks and attempts)",
            "READ_BEFORE_LOCK": "the read under the lock",
            "ACKNOWLEDGED_IS_DONE": "R1: a push ends with `completed`",
            "ATTEMPT_ON_ANY": "R8: an attempt only on intents of one's own",
            "NO_ZOMBIE_CHECK": "R7: a slow owner looks at its clock before it pushes",
        },
    ),
    *_without(
        "stage",
        {
            "NO_FOR_SHARE": "R5: the intent holds the epoch",
            "LEDGER_BEFORE_LOCK": "R5: the ledger is looked at under the row's lock",
            "RECORD_BEFORE_HINT": "R6: the hint first, then the record",
            "NO_EPOCH_IN_RECORD": "R6: the record must have the writer's epoch",
            "NO_RECORD_FREEZE": "R6: a stage change freezes the record",
            "NO_LOOK_FOR_HINTS": "R6: a stage change looks for hints",
            "DISCARD_BEFORE_TAKE": "R6: a hint goes after its intent is committed",
            "TAKE_AS_ENDED": "R2: another instance's hint waits for the grace period",
            "NO_ZOMBIE_CHECK": "R7: a slow owner looks at its clock",
        },
    ),
)
