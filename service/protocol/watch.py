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

    def opened(self, intent: UUID, generation: int) -> None:
        """Note an intent that is about to be committed."""
        self._generations[intent] = generation
        self._unsettled[generation] += 1

    def closed(self, intent: UUID) -> None:
        """Note that an intent is settled, was never committed, or is left to the sweep."""
        generation = self._generations.pop(intent, None)
        if generation is not None:
            self._unsettled[generation] -= 1
            self._settled[generation] += 1

    def begin(self, generation: int) -> Callable[[], bool]:
        """Return a question that says later whether any intent was unsettled at any time since now."""
        settled_before = self._settled[generation]
        was_unsettled = self._unsettled[generation] > 0

        def disturbed() -> bool:
            return (
                was_unsettled
                or self._unsettled[generation] > 0
                or self._settled[generation] != settled_before
            )

        return disturbed
