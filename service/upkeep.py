"""What keeps two stores known to be equal, put together: quarantine, repair, continuous verification, counts."""

import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from backfill.bypass import Watched
from backfill.confirming import Looks
from backfill.continuous import ContinuousVerification, Pace
from backfill.counting import CountWatch
from backfill.metrics import ContinuousMetrics
from backfill.pressure import Limits, Readings, pressures
from backfill.within_limits import WithinLimits
from service.background_jobs import judge_of, kept_running
from service.control.plane import ControlPlane
from service.core import Core, Source
from service.errors import VecferryError
from service.protocol.resettling import Resettling
from service.repairing import Repairs
from service.stores.postgres.pressure import ServerPressure
from service.stores.postgres.quarantine import PostgresQuarantine
from service.stores.postgres.repairing import PostgresSuspected
from service.stores.postgres.watching import PostgresWitness, RandomRows
from service.throttling import limits_of

_FRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The parts; without Qdrant there is only a quarantine."""

    quarantine: PostgresQuarantine
    repairs: Repairs | None = None
    continuous: ContinuousVerification | None = None
    counts: CountWatch | None = None

    @property
    def background(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What must run beside an instance."""
        found: list[Coroutine[Any, Any, None]] = []
        if self.continuous is not None:
            found.append(kept_running("continuous verification", self.continuous.run))
        if self.counts is not None:
            found.append(kept_running("counts", self.counts.run))
        return tuple(found)

    async def to_json(self) -> dict[str, object]:
        """Return for the status what is quarantined and what was found to differ. Raises ``TargetUnavailable``."""
        counts = await self.quarantine.counts()
        return {
            "quarantine": {
                name: {"blocking": blocking, "waived": waived}
                for name, (blocking, waived) in counts.items()
            },
            "continuous": None if self.continuous is None else self.continuous.to_json(),
            "miscounted": [] if self.counts is None else self.counts.to_json(),
        }


def upkeep_of(core: Core, source: Source | None) -> Upkeep:
    """Put the parts together; nothing runs yet."""
    quarantine = PostgresQuarantine(core.database)
    if source is None:
        return Upkeep(quarantine)
    looks = Looks(WithinLimits(source.store), core.target, judge_of(core, source))
    repairs = Repairs(
        core.plane,
        PostgresSuspected(core.database),
        quarantine,
        looks,
        Resettling(core.log, core.resyncer, core.plane.instance),
    )
    rate = core.settings.verify_points_per_second
    if not rate:
        return Upkeep(quarantine, repairs)
    metrics, pressed = ContinuousMetrics(core.registry), _pressed(core)

    def watched() -> Sequence[Watched]:
        return complete(core.plane)

    return Upkeep(
        quarantine,
        repairs,
        ContinuousVerification(
            watched,
            looks,
            RandomRows(core.database),
            quarantine,
            metrics=metrics,
            pace=Pace(rate, core.settings.grace_seconds, pressed.reason),
        ),
        CountWatch(
            watched,
            source.store,
            PostgresWitness(core.database, core.recording.hints),
            metrics,
            pressed.reason,
        ),
    )


def complete(plane: ControlPlane) -> list[Watched]:
    """Return the collections that both stores are meant to hold completely, as far as this instance knows."""
    view = plane.view
    if view.is_detached or not plane.is_attached:
        return []
    return [
        Watched(each.name, each.generation, each.epoch)
        for each in view.states.values()
        if each.is_mirrored and each.backfilled and not each.frozen and each.generation is not None
    ]


@dataclass(slots=True)
class _Pressed:
    """Why the target should be left alone now, by the readings that throttle the jobs; asked for now and then."""

    gauge: ServerPressure
    limits: Limits
    _text: str | None = None
    _until: float = field(default=0.0)

    async def reason(self) -> str | None:
        """Return the worst reading over its limit; what cannot be read is one."""
        if time.monotonic() >= self._until:
            try:
                readings = Readings(server=await self.gauge.read(), server_age_seconds=0.0)
            except VecferryError as error:
                self._text = str(error)
            else:
                over = [each for each in pressures(readings, self.limits) if each.ratio > 1.0]
                self._text = over[0].text if over else None
            self._until = time.monotonic() + _FRESH_SECONDS
        return self._text


def _pressed(core: Core) -> _Pressed:
    limits = limits_of(core.settings)
    return _Pressed(ServerPressure(core.database, most_unsettled=2 * limits.unsettled), limits)
