"""Figures over the last comparisons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stages import Side
from shadow.compare import Comparison, Outcome
from shadow.parity import ParityBook, lower_bound


def comparison(outcome: Outcome, overlap: float = 1.0) -> Comparison:
    """Return a comparison with this outcome."""
    return Comparison(outcome, overlap, 0.0, (), ())


def test_ignored_reads_do_not_enter_the_mean() -> None:
    """Errors and reads in flight are counted apart and change no share."""
    book = ParityBook()
    book.add("c", comparison(Outcome.IDENTICAL), {})
    book.add("c", comparison(Outcome.DIFFERING, 0.5), {})
    book.count("c", Outcome.IN_FLIGHT)
    book.count("c", Outcome.ERROR)
    parity = book.parity("c")
    assert (parity.samples, parity.overlap, parity.identical) == (2, 0.75, 0.5)
    assert parity.outcomes[Outcome.IN_FLIGHT] == parity.outcomes[Outcome.ERROR] == 1


def test_the_window_forgets_the_oldest() -> None:
    """Only the last comparisons speak for the present."""
    book = ParityBook(window=10)
    for _ in range(10):
        book.add("c", comparison(Outcome.DIFFERING, 0.0), {})
    for _ in range(10):
        book.add("c", comparison(Outcome.IDENTICAL), {})
    parity = book.parity("c")
    assert (parity.samples, parity.overlap) == (10, 1.0)
    assert parity.outcomes[Outcome.DIFFERING] == 10


def test_percentiles_by_nearest_rank() -> None:
    """Of 100 times the 50th and the 99th are reported, each side's own."""
    book = ParityBook()
    for millis in range(1, 101):
        seconds = {Side.SOURCE: millis / 1000, Side.TARGET: millis / 100}
        book.add("c", comparison(Outcome.IDENTICAL), seconds)
    latency = book.parity("c").latency
    assert (latency[Side.SOURCE].p50, latency[Side.SOURCE].p99) == (0.050, 0.099)
    assert (latency[Side.TARGET].p50, latency[Side.TARGET].p99) == (0.50, 0.99)


def test_nothing_is_claimed_without_samples() -> None:
    """A collection that was never compared has no parity, not a perfect one."""
    parity = ParityBook().parity("never")
    assert (parity.samples, parity.overlap, parity.lower_bound) == (0, None, None)


def test_forgetting_starts_anew() -> None:
    """After the contents were replaced the old figures are gone."""
    book = ParityBook()
    book.add("c", comparison(Outcome.IDENTICAL), {})
    book.forget("c")
    assert book.parity("c").samples == 0


@pytest.mark.parametrize(("mean", "samples", "expected"), [
    # Wilson's interval by hand: n / (n + z**2) at a mean of 1, and 10 of 20 from its formula.
    (1.0, 100, 100 / (100 + 1.645**2)),
    (0.5, 20, 0.3273),
])  # fmt: skip
def test_the_lower_bound_is_wilsons(mean: float, samples: int, expected: float) -> None:
    """Known values of the one-sided 95 % bound."""
    assert lower_bound(mean, samples) == pytest.approx(expected, abs=1e-4)


@given(st.floats(0, 1), st.integers(1, 5000))
def test_more_samples_bring_the_bound_closer(mean: float, samples: int) -> None:
    """The bound is below the mean and rises with the number of samples."""
    bound = lower_bound(mean, samples)
    assert 0.0 <= bound <= mean + 1e-12
    assert lower_bound(mean, samples + 1) >= bound - 1e-12
