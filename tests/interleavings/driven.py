"""A history that is not written down before: somebody drives it, one request, step or fault after the other."""

from collections.abc import Callable

from service.stages import Stage
from tests.interleavings import register, source
from tests.interleavings.building import Variant
from tests.interleavings.clock import clock_and_ids
from tests.interleavings.history import Faults, History
from tests.interleavings.loop import Option
from tests.interleavings.postgres import CUT, SLOW
from tests.interleavings.search import Budget, Script
from tests.interleavings.world import World
from tests.interleavings.writes import Read, Write

_FAULTS = Faults(
    write=(source.LOST, source.REFUSED, source.LATE, source.QUEUED),
    answer=(source.ANSWER_LOST, source.ANSWER_SLOW),
    read=("fails",),
    postgres=(CUT,),
    slow=(SLOW,),
    register=(register.BEFORE, register.AFTER, register.SLOW),
    mortal=("A",),
    sleepy=("A", "B"),
    cuttable=("A", "B"),
)

Pick = Callable[[list[Option]], Option]


class _Steering(Script):
    """A script that is told its next choice."""

    def __init__(self) -> None:
        super().__init__((), Budget(0))
        self.pick: Pick = _default

    def choose(self, options: list[Option]) -> Option:
        """Return what the driver picks; the default once the history is over."""
        chosen = _default(options) if self.is_closed else self.pick(options)
        self.story.append(chosen.label)
        return chosen


class DrivenWorld(World):
    """Two instances of the whole product, ``A`` and ``B``. Every method raises ``Violation`` where one shows."""

    longest_seconds = 3_000.0

    def __init__(self, stage: Stage, variant: Variant) -> None:
        self._steering = _Steering()
        history = History(
            [("A", ()), ("B", ())], stage=stage, points={1: 0}, faults=_FAULTS,
            is_full=True, grace_seconds=12.0,
        )  # fmt: skip
        super().__init__(history, self._steering, variant)
        self._asked: dict[str, int] = {}
        self._is_over = False
        with clock_and_ids(self.loop):
            self.loop.begin(self._main())

    @property
    def story(self) -> list[str]:
        """What has happened."""
        return self._steering.story

    async def _play(self) -> None:
        while not self._is_over or self._is_at_work():
            await self.loop.pause(0.25)

    def ask(self, client: str, name: str, what: Write | Read) -> None:
        """Let a client ask something through an instance, if he has his last answer and it lives."""
        if not self._is_free(client) or name in self._dead:
            return
        number = self._asked[client] = len(self._busy)
        self._spawn(name, self._client(number, name, [what]))

    def order(self, name: str, stage: Stage) -> None:
        """Let the operator change the stage through an instance, if the last change is over and it lives."""
        if not self._is_free("operator") or name in self._dead:
            return
        number = self._asked["operator"] = len(self._busy)
        self._spawn(name, self._order(number, name, stage))

    async def _order(self, number: int, name: str, stage: Stage) -> None:
        await self._change(name, stage)
        self._busy[number] = ""

    def _is_free(self, who: str) -> bool:
        return not self._busy.get(self._asked.get(who, -1))

    def advance(self, pick: Pick | None = None) -> None:
        """Let the next thing happen: what is picked of what may, by default what was just caused."""
        self._steering.pick = pick or _default
        with clock_and_ids(self.loop):
            self.loop.advance()

    def pass_seconds(self, seconds: float) -> None:
        """Go on until so much time has passed."""
        until = self.loop.time() + seconds
        while self.loop.time() < until:
            self.advance()

    def kill(self, name: str) -> None:
        """Let an instance die, once."""
        if name not in self._dead:
            self._kill(name)

    def stand_still(self, name: str) -> None:
        """Stop an instance for longer than the grace period."""
        if name not in self._dead and not self.loop.is_standing_still(name):
            self._stop(name)

    def lose_postgres(self, names: str) -> None:
        """Cut instances off from Postgres for longer than others wait for them."""
        for name in names:
            if name not in self._dead | self.postgres.cut_off:
                self._cut(name)

    def finish(self) -> None:
        """Let everything heal and look at what is left."""
        self._is_over = True
        self._steering.pick = _default
        with clock_and_ids(self.loop):
            while self.loop.advance():
                pass

    def close(self) -> None:
        """End the history where it stands."""
        with clock_and_ids(self.loop):
            self.loop.close()


def _default(options: list[Option]) -> Option:
    return options[0]
