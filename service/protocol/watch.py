"""Which collections have writes that one store may lack, so that a shadow read can tell noise from difference."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID


class UnsettledWatch:
    """This instance's unsettled intents, counted per generation."""

    def __init__(self) -> None:
        self._generations: dict[UUID, int] = {}
        self._unsettled: Counter[int] = Counter()
        self._settled: Counter[int] = Counter()
        self._left: dict[int, int] = {}
        self._walks = 0

    def opened(self, intent: UUID, generation: int) -> None:
        """Note an intent that is about to be committed."""
        self._generations[intent] = generation
        self._unsettled[generation] += 1

    def closed(self, intent: UUID) -> None:
        """Note that an intent is settled or was never committed."""
        generation = self._generations.pop(intent, None)
        if generation is not None:
            self._unsettled[generation] -= 1
            self._settled[generation] += 1

    def left(self, intent: UUID, generation: int) -> None:
        """Note that an unsettled intent is forgotten here; its generation is disturbed until a walk misses it."""
        self._left[generation] = self._walks
        self.closed(intent)

    def walked(self, met: frozenset[int]) -> None:
        """Note that a walk over the whole ledger ended, and the generations of the intents that it met."""
        # What was left during the walk may lie behind where it passed: the next one clears it.
        self._left = {
            generation: walk
            for generation, walk in self._left.items()
            if walk == self._walks or generation in met
        }
        self._walks += 1

    def begin(self, generation: int) -> Callable[[], bool]:
        """Return a question that says later whether any intent was unsettled at any time since now."""
        settled_before = self._settled[generation]
        was_unsettled = self._unsettled[generation] > 0 or generation in self._left

        def disturbed() -> bool:
            return (
                was_unsettled
                or self._unsettled[generation] > 0
                or generation in self._left
                or self._settled[generation] != settled_before
            )

        return disturbed
