"""The stages of a migration and the ways between them.

Rule 1: what a stage means (who is read, who is written, who is right) is said only here.
Rule 2: a transition that is not in ``TRANSITIONS`` does not exist; a missing key is the error.
"""

from enum import StrEnum

from service.errors import StageError


class Stage(StrEnum):
    """How far a collection's migration has come."""

    OFF = "off"
    DUALWRITE = "dualwrite"
    SHADOW = "shadow"
    RAMP = "ramp"
    LIVE = "live"
    RAMPDOWN = "rampdown"
    COMPLETE = "complete"


class Side(StrEnum):
    """One of the two stores."""

    SOURCE = "source"
    TARGET = "target"

    @property
    def other(self) -> "Side":
        """The store on the other side."""
        return Side.TARGET if self is Side.SOURCE else Side.SOURCE


class Change(StrEnum):
    """What a transition has to do besides publishing the new stage."""

    ARM = "arm"
    """Start mirroring from empty tables: older writes drain before the backfill may begin."""
    PUBLISH = "publish"
    """Nothing: the authority stays and both stores are kept equal before and after."""
    FREEZE = "freeze"
    """Hold new writes, settle everything, then publish: the authority moves or a store is left behind."""
    ABANDON = "abandon"
    """Stop mirroring: the ledger is closed, the target's copy is worthless from here on."""


TRANSITIONS: dict[tuple[Stage, Stage], Change] = {
    (Stage.OFF, Stage.DUALWRITE): Change.ARM,
    (Stage.DUALWRITE, Stage.SHADOW): Change.PUBLISH,
    (Stage.SHADOW, Stage.DUALWRITE): Change.PUBLISH,
    (Stage.SHADOW, Stage.RAMP): Change.PUBLISH,
    (Stage.RAMP, Stage.RAMP): Change.PUBLISH,
    (Stage.RAMP, Stage.SHADOW): Change.PUBLISH,
    (Stage.SHADOW, Stage.LIVE): Change.FREEZE,
    (Stage.RAMP, Stage.LIVE): Change.FREEZE,
    (Stage.LIVE, Stage.RAMP): Change.FREEZE,
    (Stage.LIVE, Stage.SHADOW): Change.FREEZE,
    (Stage.LIVE, Stage.RAMPDOWN): Change.PUBLISH,
    (Stage.RAMPDOWN, Stage.LIVE): Change.PUBLISH,
    (Stage.RAMPDOWN, Stage.SHADOW): Change.FREEZE,
    (Stage.RAMPDOWN, Stage.COMPLETE): Change.FREEZE,
    (Stage.DUALWRITE, Stage.OFF): Change.ABANDON,
    (Stage.SHADOW, Stage.OFF): Change.ABANDON,
    (Stage.RAMP, Stage.OFF): Change.ABANDON,
}

_TARGET_IS_RIGHT = frozenset({Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE})
_BOTH_WRITTEN = frozenset(Stage) - {Stage.OFF, Stage.COMPLETE}
_COMPARED = frozenset({Stage.SHADOW, Stage.RAMP, Stage.LIVE})
_NEEDS_BACKFILL = frozenset({Stage.SHADOW, Stage.RAMP, Stage.LIVE})


def authority(stage: Stage) -> Side:
    """Return the store whose answer is the truth."""
    return Side.TARGET if stage in _TARGET_IS_RIGHT else Side.SOURCE


def mirrors(stage: Stage) -> bool:
    """Say whether changes reach both stores."""
    return stage in _BOTH_WRITTEN


def check_alone(name: str, stage: Stage) -> None:
    """Raise ``StageError`` for a write to one store of a collection whose changes must reach both."""
    if mirrors(stage):
        message = (
            f"`{name}` is mirrored (stage {stage}): written to one store only, the two would differ;"
            " import through vecferry (--into proxy)"
        )
        raise StageError(message)


def compares(stage: Stage) -> bool:
    """Say whether sampled searches run on both stores."""
    return stage in _COMPARED


def needs_backfill(stage: Stage) -> bool:
    """Say whether the target must hold a complete copy before this stage may be entered."""
    return stage in _NEEDS_BACKFILL


def transition(current: Stage, wanted: Stage) -> Change:
    """Return what the change from one stage to another has to do.

    Raises ``StageError`` that names the stages that can be reached when there is no such way.
    """
    try:
        return TRANSITIONS[current, wanted]
    except KeyError:
        reachable = ", ".join(sorted(to for (start, to) in TRANSITIONS if start is current))
        message = f"no way from {current} to {wanted}; from {current}: {reachable or 'nowhere'}"
        raise StageError(message) from None
