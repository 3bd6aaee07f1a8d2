"""What the operator does, step by step: off to complete, with one change of mind on the way."""

from dataclasses import dataclass

from tests.demo.legacy import PATTERN

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Commands, then a while of traffic.

    Afterwards every collection must be in ``stage``. ``least_samples`` is how many shadow reads a
    collection must have had before the next step: a gate that measures parity needs something to
    measure, so the dwell is extended for them.
    """

    name: str
    stage: str
    commands: tuple[Command, ...] = ()
    dwell_seconds: float = 2.0
    least_samples: int = 0


def to_stage(stage: str, *options: str) -> Command:
    """Return the command that moves every collection to a stage."""
    return ("stage", "set", PATTERN, stage, *options)


def _to(name: str, stage: str, *options: str, verified: bool = False, samples: int = 0) -> Step:
    commands = (to_stage(stage, *options), *((VERIFY,) if verified else ()))
    return Step(name, stage, commands, least_samples=samples)


VERIFY: Command = ("verify", PATTERN)

UNTIL_CHECK = (
    Step("off", "off"),
    _to("dualwrite", "dualwrite"),
    Step("backfill", "dualwrite", (("backfill", PATTERN),), dwell_seconds=1.0),
    _to("shadow", "shadow", verified=True, samples=20),
    _to("ramp 10 %", "ramp", "--percent", "10"),
    _to("ramp 50 %", "ramp", "--percent", "50"),
    _to("ramp 100 %", "ramp", "--percent", "100", verified=True),
    _to("live", "live"),
    _to("back to shadow", "shadow", verified=True),
    _to("live again", "live"),
    _to("rampdown", "rampdown", verified=True),
)
"""Everything up to the independent check, which needs both stores."""

CHECK = "check"
"""The independent check: writers are paused, readers are not."""

COMPLETE = _to("complete", "complete")

WITHOUT_QDRANT = Step("Qdrant stopped", "complete")
"""Qdrant is stopped before this step: the proxy no longer needs it."""
