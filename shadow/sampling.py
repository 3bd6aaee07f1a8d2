"""Which searches are compared."""

from random import Random


class Sampler:
    """Takes a share of the requests at random.

    At random and not every n-th, which could always meet the same one of two alternating queries.
    """

    def __init__(self, rate: float, rng: Random | None = None) -> None:
        if not 0.0 <= rate <= 1.0:
            message = f"a sample rate is between 0 and 1, not {rate}"
            raise ValueError(message)
        self._rate = rate
        self._rng = rng or Random()  # noqa: S311 - a sample, not a secret

    def take(self) -> bool:
        """Say whether the next request is in the sample."""
        return self._rng.random() < self._rate
