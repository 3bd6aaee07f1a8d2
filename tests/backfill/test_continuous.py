"""Continuous verification at its ports: what is looked at, put off, explained and forgotten."""

from collections.abc import Iterable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from backfill import continuous
from backfill.bypass import Watched
from backfill.canonical import Kind
from backfill.confirming import Judgement, Looks
from backfill.continuous import ContinuousVerification, Pace
from backfill.metrics import ContinuousMetrics
from backfill.retry import Retry
from service.errors import TargetUnavailable
from service.model.ids import encode_key
from service.model.points import Hit, Point
from service.model.qdrant import QueryRequest
from tests.backfill.fakes import Shelf, point


class Drawing(Shelf):
    """A store that draws all its ids."""

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        return [Hit(each, 0.0) for each in self.points][: request.limit]


class Site:
    """Both stores, and everything else that is asked."""

    def __init__(self, source: Iterable[Point], target: Iterable[Point]) -> None:
        self.source, self.target = Drawing(source), Shelf(target)
        self.reason: str | None = None
        self.is_settled = True
        self.error: TargetUnavailable | None = None
        self.listed: set[bytes] = set()
        self.judged = 0
        self.watched = [Watched("c", 1, 1)]
        self.metrics = ContinuousMetrics(CollectorRegistry())
        pace = Pace(1_000.0, 0.0, self.hindrance)
        self.verification = ContinuousVerification(
            lambda: self.watched,
            Looks(self.source, self.target, self, Retry(1, 0.0)),
            self,
            Listed(self),
            metrics=self.metrics,
            pace=pace,
        )

    async def hindrance(self) -> str | None:
        return self.reason

    async def keys(self, generation: int, count: int) -> Sequence[bytes]:
        return [encode_key(each) for each in self.target.points][:count]

    async def judge(
        self, collection: str, generation: int, keys: Sequence[bytes]
    ) -> Sequence[Judgement]:
        self.judged += 1
        if self.error is not None:
            raise self.error
        return [Judgement(key, (Kind.MISSING,), is_settled=self.is_settled) for key in keys]

    async def rounds(self, count: int) -> None:
        """Look so often, with as much credit as there may be."""
        for _ in range(count):
            self.verification._credit = 64.0
            await self.verification.round()

    def found(self) -> list[object]:
        """Return the ids that are shown."""
        last = self.verification.to_json()["last"]
        assert isinstance(last, list)
        return sorted(each["id"] for each in last)


class Listed:
    """The quarantine of a site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def keys(
        self, generation: int, *, among: Sequence[bytes] | None, limit: int
    ) -> Sequence[bytes]:
        return [key for key in among or () if key in self._site.listed]


POINTS = [point(number) for number in range(20)]


async def test_what_differs_is_judged_and_said_once() -> None:
    """However often it is drawn; equal again it is forgotten."""
    site = Site(POINTS, POINTS[1:])
    await site.rounds(5)
    assert site.found() == [0]
    assert site.metrics._bypass.labels("unknown")._value.get() == 1
    site.target.points[0] = POINTS[0]
    await site.rounds(2)
    assert site.found() == []


async def test_the_store_that_changed_is_named() -> None:
    """The id was equal before."""
    site = Site(POINTS, POINTS)
    await site.rounds(2)
    del site.target.points[3]
    await site.rounds(3)
    assert site.metrics._bypass.labels("target")._value.get() == 1
    assert site.found() == [3]


async def test_nothing_is_read_while_jobs_would_be_throttled() -> None:
    """The reason is shown; what is not watched is not read either."""
    site = Site(POINTS, POINTS)
    site.reason = "ledger 20000 > 10000"
    await site.rounds(3)
    assert site.verification.to_json()["looked_at"] == 0
    assert site.verification.to_json()["waits_for"] == site.reason
    site.reason, site.watched = None, []
    await site.rounds(1)
    assert site.verification.to_json()["looked_at"] == 0


async def test_the_quarantine_explains_a_difference() -> None:
    """It is on a list of its own."""
    site = Site(POINTS, POINTS[1:])
    site.listed = {encode_key(0)}
    await site.rounds(4)
    assert site.judged
    assert site.found() == []


async def test_what_is_not_settled_is_looked_at_again() -> None:
    """Until it is, and not for ever."""
    site = Site(POINTS, POINTS[1:])
    site.is_settled = False
    await site.rounds(3)
    assert site.found() == []
    site.is_settled = True
    await site.rounds(2)
    assert site.found() == [0]


async def test_a_collection_that_cannot_be_judged_holds_up_nothing() -> None:
    """Its ids are looked at later."""
    site = Site(POINTS, POINTS[1:])
    site.error = TargetUnavailable("is away")
    await site.rounds(3)
    assert site.found() == []
    site.error = None
    await site.rounds(2)
    assert site.found() == [0]


async def test_ids_of_a_collection_that_is_gone_are_forgotten() -> None:
    """A new one of the name is another generation."""
    site = Site(POINTS, POINTS[1:])
    await site.rounds(3)
    site.watched = [Watched("c", 2, 2)]
    site.target.points[0] = POINTS[0]
    await site.rounds(1)
    assert site.found() == []


async def test_few_points_wait_for_a_round_and_many_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Qdrant is not asked for one point at a time; memory is bounded, and what does not fit is counted."""
    site = Site(POINTS, [])
    site.verification._credit = 5.0
    await site.verification.round()
    assert site.verification.to_json()["looked_at"] == 0
    monkeypatch.setattr(continuous, "_MOST_WAITING", 3)
    await site.rounds(1)
    assert site.metrics.dropped._value.get() == len(POINTS) - 3
