"""Walks through the choices of a history: all of them up to a budget, or a random list of them.

A history is run again from its beginning for every script (stateless search). A *script* is a list of small integers,
one for each point where more than one option can be paid for; where it ends, option 0 is taken. The budget bounds how
often a run leaves the default order and how many faults happen in it, as bounded-preemption model checkers do: within
the bound nothing is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from tests.interleavings.loop import Option


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a run may spend."""

    deviations: int
    faults: int = 0


_DEPARTURES = 0.15
"""How often a random run leaves the default."""


@dataclass
class Script:
    """Answers the choices of one run and notes what there was to choose from."""

    wanted: Sequence[int]
    budget: Budget
    taken: list[tuple[int, int]] = field(default_factory=list)
    """What was chosen, of how many."""
    story: list[str] = field(default_factory=list)
    random: Random | None = None
    """Chooses where nothing is wanted; mostly the default."""
    is_closed: bool = False
    """From now on only the default: the history is over, the stores heal."""

    def choose(self, options: list[Option]) -> Option:
        """Return the next option."""
        paid = [option for option in options if self._can_pay(option)] if not self.is_closed else []
        chosen = options[0]
        if len(paid) > 1:
            at = len(self.taken)
            number = (
                self.wanted[at] % len(paid) if at < len(self.wanted) else self._drawn(len(paid))
            )
            self.taken.append((number, len(paid)))
            chosen = paid[number]
        self.budget = Budget(
            self.budget.deviations - chosen.deviations, self.budget.faults - chosen.faults
        )
        self.story.append(chosen.label)
        return chosen

    def _drawn(self, options: int) -> int:
        if self.random is None or self.random.random() > _DEPARTURES:
            return 0
        return self.random.randrange(1, options)

    def _can_pay(self, option: Option) -> bool:
        return option.deviations <= self.budget.deviations and option.faults <= self.budget.faults


Run: TypeAlias = Callable[[Script], None]
"""Runs a history under a script. Raises ``AssertionError`` where something is wrong."""


@dataclass(frozen=True, slots=True)
class Found:
    """The first run that went wrong."""

    script: tuple[int, ...]
    story: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        steps = "\n".join(f"{n:4} {label}" for n, label in enumerate(self.story, 1))
        return f"{self.reason}\nscript {list(self.script)}\n{steps}"


@dataclass(frozen=True, slots=True)
class Explored:
    """How many runs there were, and the first that went wrong."""

    runs: int
    found: Found | None
    is_complete: bool


def explore(run: Run, budget: Budget, *, most_runs: int) -> Explored:
    """Run every script within the budget, depth first, until one goes wrong or ``most_runs`` is reached."""
    wanted: list[int] = []
    for runs in range(1, most_runs + 1):
        script = Script(wanted, budget)
        found = attempt(run, script)
        if found is not None:
            return Explored(runs, found, is_complete=False)
        following = _following(script.taken)
        if following is None:
            return Explored(runs, None, is_complete=True)
        wanted = following
    return Explored(most_runs, None, is_complete=False)


def sample(run: Run, budget: Budget, *, runs: int, seed: int) -> Explored:
    """Run random scripts within the budget; the same ones for the same seed."""
    for number in range(runs):
        found = attempt(run, Script((), budget, random=Random(f"{seed} {number}")))
        if found is not None:
            return Explored(number + 1, found, is_complete=False)
    return Explored(runs, None, is_complete=False)


def attempt(run: Run, script: Script) -> Found | None:
    """Run one script."""
    try:
        run(script)
    except AssertionError as error:
        chosen = tuple(number for number, _ in script.taken)
        return Found(chosen, tuple(script.story), f"{type(error).__name__}: {error}")
    return None


def _following(taken: list[tuple[int, int]]) -> list[int] | None:
    """Return the script that differs from this one at the last place where another choice is left."""
    for at in range(len(taken) - 1, -1, -1):
        number, of = taken[at]
        if number + 1 < of:
            return [chosen for chosen, _ in taken[:at]] + [number + 1]
    return None
