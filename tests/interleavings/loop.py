"""An event loop whose clock is virtual and whose order is a script.

What is ready runs at once, in the order in which it became ready, as in any event loop. A task that would wait for
a store waits in :meth:`ScriptedLoop.step` instead. When nothing is ready any more, the chooser says which of the
pending steps happens next, with which fault, or that time passes, or that an instance dies or stands still.

Rule 1: every callback and every step belongs to an *owner*, the instance in whose context it was made; ``""`` is
        the world outside. A dead owner's callbacks are dropped, those of one that stands still are kept for later.
Rule 2: option 0, the default, is the newest step (what was just caused goes on); without steps, time passes.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

OWNER: ContextVar[str] = ContextVar("owner", default="")
"""The instance that the running code belongs to."""

WORLD = ""
_MOST_CALLBACKS = 100_000

Callback: TypeAlias = Callable[..., object]


class Stuck(AssertionError):
    """Nothing can happen any more, or no end is in sight, and the history is not over."""


@dataclass(frozen=True, slots=True)
class Option:
    """Something that may happen next, and what it costs: deviations from the default order, or faults."""

    label: str
    take: Callable[[], None]
    deviations: int = 0
    faults: int = 0


Choose: TypeAlias = Callable[[list[Option]], Option]


@dataclass(eq=False, slots=True)
class _Step:
    label: str
    owner: str
    taken: "asyncio.Future[str]"
    is_enabled: Callable[[], bool]
    faults: tuple[str, ...]


class ScriptedLoop(asyncio.AbstractEventLoop):
    """Runs one history. ``offers`` names what the world may do beside the steps, after a step of an owner's."""

    def __init__(
        self,
        choose: Choose,
        *,
        offers: Callable[[str], list[Option]],
        after_step: Callable[[], None],
    ) -> None:
        self._choose = choose
        self._offers = offers
        self._after_step = after_step
        self._now = 0.0
        self._ready: deque[tuple[str, asyncio.Handle]] = deque()
        self._kept: dict[str, list[tuple[str, asyncio.Handle]]] = {}
        self._timers: list[tuple[float, int, str, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._steps: list[_Step] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._main: asyncio.Task[None]
        self._dead: set[str] = set()
        self._dropped: list[tuple[str, asyncio.Handle]] = []
        self._last_owner = WORLD
        self._is_over = False
        self.is_quiet = False
        """Whether steps happen at once and are no choice: while the history is set up."""
        self.drawn = itertools.count(1)
        """What ids are made of: the same in every run."""
        self.ticks = 0
        """How many choices were made so far: the order of what clients do and hear."""

    # ---- what asyncio asks of a loop

    def time(self) -> float:
        """Return the virtual time, which begins at 0."""
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callback, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback before anything else is chosen."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((_owner(context), handle))
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callback, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback when the clock says so."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), _owner(context), handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callback, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback after a delay."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[Any]":
        """Start a task; it is remembered, so that :meth:`close` can end it."""
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def get_debug(self) -> bool:
        """Return false."""
        return False

    def is_running(self) -> bool:
        """Return whether the history goes on."""
        return not self._is_over

    def is_closed(self) -> bool:
        """Return false: it holds nothing that would have to be closed."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Raise what a callback raised; a task that was never awaited is none of the history's business."""
        error = context.get("exception")
        if error is not None and not self._is_over:
            raise error

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Ignore it: a cancelled handle is skipped when its time comes."""

    # ---- what the models of the stores ask

    async def step(
        self,
        label: str,
        *,
        is_enabled: Callable[[], bool] = lambda: True,
        faults: tuple[str, ...] = (),
    ) -> str:
        """Wait until the script lets this step happen; return the fault that it happens with, or ``""``."""
        if self._is_over:
            raise asyncio.CancelledError
        if self.is_quiet:
            return ""
        owner = OWNER.get()
        step = _Step(label, owner, self.create_future(), is_enabled, faults)
        self._steps.append(step)
        try:
            return await step.taken
        finally:
            if step in self._steps:
                self._steps.remove(step)

    async def pause(self, seconds: float) -> None:
        """Wait, as part of the owner's time."""
        woken = self.create_future()
        self.call_later(seconds, woken.set_result, None)
        await woken

    def call_outside(self, seconds: float, callback: Callback) -> None:
        """Run a callback of the world's after a delay, whatever becomes of the one who asked for it."""
        self.call_later(seconds, callback, context=Context())

    def kill(self, owner: str) -> None:
        """Let an instance vanish: nothing of it runs any more, not even its clean-up."""
        self._dead.add(owner)
        self._dropped += self._kept.pop(owner, [])
        self._steps = [step for step in self._steps if step.owner != owner]

    def hold(self, owner: str) -> None:
        """Let an instance stand still."""
        self._kept[owner] = []

    def let_go(self, owner: str) -> None:
        """Let it go on with all that became ready meanwhile."""
        self._ready.extend(self._kept.pop(owner, ()))

    def is_standing_still(self, owner: str) -> bool:
        """Say whether it does."""
        return owner in self._kept

    # ---- the history

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run to the end of ``main``. Raises what it raises, or ``Stuck``."""
        try:
            self.begin(main)
            while self.advance():
                pass
        finally:
            self.close()

    def begin(self, main: Coroutine[Any, Any, None]) -> None:
        """Start ``main``; :meth:`advance` goes on with it, and :meth:`close` must follow."""
        with self._running():
            self._main = self.create_task(main)
            self._run_ready()

    def advance(self) -> bool:
        """Let the next thing happen; false when ``main`` is over. Raises what it raises, or ``Stuck``."""
        with self._running():
            self._run_ready()
            if self._main.done():
                self._main.result()
                return False
            self.ticks += 1
            self._choose(self._options()).take()
            self._run_ready()
            self._after_step()
        return True

    def close(self) -> None:
        """End every task, also those of the dead: they see a cancellation and a world without stores."""
        with self._running():
            self._is_over = True
            for task in self._tasks:
                task.cancel()
            # What was dropped or kept may be the first step of a task.
            self._ready.extend(self._dropped)
            for kept in self._kept.values():
                self._ready.extend(kept)
            self._dead.clear()
            self._kept.clear()
            for _ in range(3):
                self._run_ready()
                for task in self._tasks:
                    task.cancel()

    @contextmanager
    def _running(self) -> Iterator[None]:
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def _options(self) -> list[Option]:
        enabled = [step for step in reversed(self._steps) if self._may_happen(step)]
        options = [
            self._option(step, fault, deviations=min(place, 1))
            for place, step in enumerate(enabled)
            for fault in ("", *step.faults)
        ]
        options.sort(key=lambda option: option.faults)
        if self._drop_cancelled():
            when = self._timers[0][0]
            label = f"{max(when - self._now, 0):.2f} s pass"
            options.append(Option(label, self._pass_time, deviations=min(len(enabled), 1)))
        options += self._offers(self._last_owner)
        if not options:
            raise Stuck([step.label for step in self._steps])
        return options

    def _may_happen(self, step: _Step) -> bool:
        return step.owner not in self._kept and not step.taken.done() and step.is_enabled()

    def _option(self, step: _Step, fault: str, *, deviations: int) -> Option:
        def take() -> None:
            self._last_owner = step.owner
            self._steps.remove(step)
            step.taken.set_result(fault)

        label = f"{step.owner or 'world'}: {step.label}{f' – {fault}' if fault else ''}"
        return Option(label, take, deviations, faults=1 if fault else 0)

    def _drop_cancelled(self) -> bool:
        """Say whether a timer is left that will fire."""
        while self._timers and (self._timers[0][3].cancelled() or self._timers[0][2] in self._dead):
            heapq.heappop(self._timers)
        return bool(self._timers)

    def _pass_time(self) -> None:
        self._last_owner = WORLD
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            _, _, owner, handle = heapq.heappop(self._timers)
            self._ready.append((owner, handle))

    def _run_ready(self) -> None:
        for _ in range(_MOST_CALLBACKS):
            if not self._ready:
                return
            owner, handle = self._ready.popleft()
            if owner in self._dead:
                self._dropped.append((owner, handle))
            elif handle.cancelled():
                continue
            elif owner in self._kept:
                self._kept[owner].append((owner, handle))
            else:
                handle._run()
        raise Stuck("callbacks without end")


def _owner(context: Context | None) -> str:
    return OWNER.get() if context is None else context.get(OWNER, WORLD)
