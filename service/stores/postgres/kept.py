"""Values kept for a while."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")

_MOST = 4_096


class Kept(Generic[_Value]):
    """The values used last, up to ``most``, each forgotten ``seconds`` after it was put."""

    def __init__(
        self, *, seconds: float, most: int = _MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._values: OrderedDict[str, tuple[float, _Value]] = OrderedDict()

    def get(self, key: str) -> _Value | None:
        """Return the value, if it is known."""
        found = self._values.get(key)
        if found is None or found[0] < self._clock():
            return None
        self._values.move_to_end(key)
        return found[1]

    def put(self, key: str, value: _Value) -> None:
        """Keep the value."""
        self._values[key] = (self._clock() + self._seconds, value)
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget the value."""
        self._values.pop(key, None)
