"""Puts the real parts together over the models: the only place here that knows their constructors.

As service/core.py and main.py do, for one collection that exists from the beginning.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from service.control.change import StageChanges
from service.control.detachment import Detachment
from service.control.marks import MarkWatch
from service.control.plane import ControlPlane
from service.control.recorder import Recorder
from service.control.sealing import Seals
from service.control.state import CollectionState
from service.metrics import ProxyMetrics
from service.protocol.commits import BUDGET_SECONDS, GroupCommit
from service.protocol.hints import HintCommits, HintMover
from service.protocol.resync import Resyncer
from service.protocol.source_writes import SourceWrites
from service.protocol.target_writes import TargetAuthority
from service.proxy.freezing import FreezeQueue
from service.stages import Stage
from tests.fakes import MemoryStore
from tests.interleavings.control import ModelControl
from tests.interleavings.front import Front
from tests.interleavings.ledger import ModelLedger, Without
from tests.interleavings.register import ModelHinted, ModelHints, ModelRegister
from tests.interleavings.source import HttpSource, ModelMirror

if TYPE_CHECKING:
    from tests.interleavings.world import World

INTENT_SECONDS = 0.05
RAMP_ANSWER_SECONDS = 0.5
FREEZE_SECONDS = 4.0
_MOST_HELD = 100

_METRICS = ProxyMetrics(CollectorRegistry())
_NOT_HERE: Any = None
"""Collections are neither made nor dropped in these histories."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What is broken on purpose: nothing, for the product as it is."""

    without: frozenset[Without] = frozenset()
    resyncer: type[Resyncer] = Resyncer
    writes: type[SourceWrites] = SourceWrites
    front: type[Front] = Front
    hints: type[HintCommits] | None = HintCommits
    intent_seconds: float = INTENT_SECONDS
    mover: type[HintMover] = HintMover
    seals: type[Seals] = Seals
    changes: type[StageChanges] = StageChanges


@dataclass(frozen=True, slots=True)
class Instance:
    """The parts of one vecferry that the histories use, and what must run beside them."""

    front: Front
    resyncer: Resyncer
    ledger: ModelLedger
    changes: StageChanges
    background: list[Coroutine[Any, Any, None]] = field(default_factory=list)


async def build(world: "World") -> Instance:
    """Start an instance: registered, its view read, its background work not yet running."""
    variant, grace = world.variant, world.history.grace_seconds
    control = ModelControl(world.postgres)
    plane = ControlPlane(
        control, default_stage=Stage.OFF, load_aliases=_no_aliases, metrics=_METRICS
    )
    await plane.start()
    ledger = ModelLedger(world.postgres, world.watch, without=variant.without)
    resyncer = variant.resyncer(
        ledger, ModelMirror(world.qdrant), plane.instance, _METRICS, grace_seconds=grace
    )
    register, hints = ModelRegister(world.kept), ModelHints(world.kept)
    recorder = Recorder(plane, register, control)
    detachment = Detachment(
        plane,
        register,
        load_aliases=_no_aliases,
        own_left=lambda: mover.own_left(),  # noqa: PLW0108 - it is made below
        grace_seconds=grace,
    )
    hinting = (variant.hints or HintCommits)(hints, register, detachment, _METRICS)
    mover = variant.mover(
        hints, ModelHinted(world.postgres), hinting, resyncer,
        owner=plane.instance, metrics=_METRICS,
    )  # fmt: skip
    marks = MarkWatch(plane, register, hints, grace_seconds=grace)
    is_full = world.history.is_full
    commits = GroupCommit(
        ledger, plane.instance, _METRICS,
        hints=hinting if is_full and variant.hints else None,
        seconds=variant.intent_seconds if is_full else BUDGET_SECONDS,
    )  # fmt: skip
    seals = variant.seals(
        recorder, register, hints, control, seconds=FREEZE_SECONDS, grace_seconds=grace
    )

    async def renewed(name: str) -> CollectionState:
        await plane.renewed(name)
        return plane.view.state(name)

    background = [resyncer.run(), commits.run(), plane.run()]
    if is_full:
        await recorder.sync("c")
        background += [recorder.run(), detachment.run(), marks.run(), mover.run()]
    return Instance(
        front=variant.front(
            plane=plane,
            queue=FreezeQueue(plane, _METRICS, limit=_MOST_HELD, seconds=FREEZE_SECONDS),
            writes=variant.writes(
                HttpSource(world.qdrant, world.watch),
                commits,
                resyncer,
                renewed=renewed,
                ramp_answer_seconds=RAMP_ANSWER_SECONDS,
            ),
            target=TargetAuthority(
                MemoryStore(), ledger, _NOT_HERE, plane, _NOT_HERE, resyncer, _METRICS
            ),
            ledger=ledger,
            qdrant=world.qdrant,
            marks=marks if is_full else None,
            watch=world.watch,
        ),
        resyncer=resyncer,
        ledger=ledger,
        changes=variant.changes(
            plane,
            control,
            seals,
            read_source_config=_NOT_HERE,
            follow=_no_follow,
            freeze_seconds=FREEZE_SECONDS,
        ),
        background=background,
    )


async def _no_follow(_: CollectionState) -> None:
    """No description changes here."""


async def _no_aliases() -> dict[str, str]:
    return {}
