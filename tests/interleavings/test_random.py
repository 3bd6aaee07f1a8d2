"""Random histories of the whole product: Hypothesis drives them, and makes those that go wrong small.

Three clients write, delete and read through two instances while steps happen out of order, requests fail or come late,
instances die, stand still or lose Postgres, and an operator changes the stage. At the end everything heals.
"""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.model.ids import PointId
from service.stages import Stage
from tests.interleavings import broken, searching
from tests.interleavings.building import Variant
from tests.interleavings.driven import DrivenWorld
from tests.interleavings.ledger import Without
from tests.interleavings.loop import Option
from tests.interleavings.searching import IS_DEEP
from tests.interleavings.writes import Put, Read, Remove

_MOST_FAULTS = 3
_INSTANCES = st.sampled_from("AB")
_IDS = st.sampled_from([(1,), (2,), (1, 2)])


class Histories(RuleBasedStateMachine):
    """One history; its rules are what clients, operators, the scheduler and the world may do."""

    variant = Variant()

    def __init__(self) -> None:
        super().__init__()
        self._world: DrivenWorld | None = None
        self._values = 0
        self._faults = 0

    @property
    def world(self) -> DrivenWorld:
        """The history."""
        assert self._world is not None
        return self._world

    @initialize(stage=st.sampled_from([Stage.DUALWRITE, Stage.SHADOW, Stage.RAMP, Stage.LIVE]))
    def begins(self, stage: Stage) -> None:
        self._world = DrivenWorld(stage, self.variant)
        searching.count_random()

    @rule(client=st.integers(0, 2), ids=_IDS)
    def client_puts(self, client: int, ids: tuple[PointId, ...]) -> None:
        self._values += 1
        self.world.ask(f"client {client}", "ABA"[client], Put(self._values, ids))

    @rule(client=st.integers(0, 2), ids=_IDS)
    def client_deletes(self, client: int, ids: tuple[PointId, ...]) -> None:
        self.world.ask(f"client {client}", "ABA"[client], Remove(ids))

    @rule(client=st.integers(0, 2), point_id=st.sampled_from([1, 2]))
    def client_reads(self, client: int, point_id: PointId) -> None:
        self.world.ask(f"client {client}", "ABA"[client], Read(point_id))

    @rule(name=_INSTANCES, stage=st.sampled_from([Stage.SHADOW, Stage.RAMP, Stage.LIVE]))
    def operator_changes_the_stage(self, name: str, stage: Stage) -> None:
        self.world.order(name, stage)

    @rule(steps=st.integers(1, 30))
    def steps_follow(self, steps: int) -> None:
        for _ in range(steps):
            self.world.advance()

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_seconds(seconds)

    @rule(which=st.integers(0, 7))
    def another_step_comes_first(self, which: int) -> None:
        self.world.advance(lambda options: _nth([o for o in options if not o.faults], which + 1))

    @precondition(lambda self: self._faults < _MOST_FAULTS)
    @rule(which=st.integers(0, 11))
    def a_step_goes_wrong(self, which: int) -> None:
        self._faults += 1
        self.world.advance(lambda options: _nth([o for o in options if o.faults] or options, which))

    @precondition(lambda self: self._faults < _MOST_FAULTS)
    @rule()
    def a_dies(self) -> None:
        self._faults += 1
        self.world.kill("A")

    @precondition(lambda self: self._faults < _MOST_FAULTS)
    @rule(name=_INSTANCES)
    def one_stands_still(self, name: str) -> None:
        self._faults += 1
        self.world.stand_still(name)

    @precondition(lambda self: self._faults < _MOST_FAULTS)
    @rule(names=st.sampled_from(["A", "B", "AB"]))
    def postgres_is_lost(self, names: str) -> None:
        self._faults += 1
        self.world.lose_postgres(names)

    def teardown(self) -> None:
        """Let everything heal: the ledger must become empty, the stores equal, every told write there."""
        if self._world is None:
            return
        try:
            self._world.finish()
        finally:
            for label in self._world.story:
                note(label)
            self._world.close()


def _nth(options: list[Option], number: int) -> Option:
    return options[number % len(options)]


def _run(variant: Variant, examples: int, *, phases: Sequence[Phase] = tuple(Phase)) -> None:
    machine = type("Histories", (Histories,), {"variant": variant})
    chosen = settings(
        max_examples=examples, stateful_step_count=30, deadline=None, derandomize=not IS_DEEP,
        database=None, phases=phases, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=chosen)


def test_random_histories_are_safe() -> None:
    """I1 to I4, I6 and I7 hold in whatever Hypothesis thinks of."""
    _run(Variant(), 2_000 if IS_DEEP else 60)


@pytest.mark.parametrize(
    "variant",
    [
        Variant(writes=broken.NoIntent),
        Variant(without=frozenset({Without.OUTBOX})),
        Variant(mover=broken.NeverMoves),
    ],
    ids=["no intent", "no outbox", "hints stay"],
)
def test_random_histories_find_what_is_missing(variant: Variant) -> None:
    """The machine goes far enough to see what intents, the outbox and the mover are for."""
    with pytest.raises(AssertionError, match=r"I\d: "):
        _run(variant, 300, phases=[Phase.generate])
