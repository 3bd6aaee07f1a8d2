"""An instance carries an order out once, at the arrival that it names."""

import signal
from pathlib import Path

from service.steps import Step
from tests.faults.serve import Order, watcher


def test_an_order_is_carried_out_at_its_arrival_and_once(tmp_path: Path) -> None:
    """Other steps do not count, and nothing happens without an order."""
    path, sent = tmp_path / "order", list[signal.Signals]()
    watch = watcher(path, sent.append)
    watch(Step.PUSHED)
    Order(signal.SIGSTOP, Step.PUSHED, 2).give(path)
    watch(Step.PUSHED)
    watch(Step.PUSH_SETTLED)
    assert sent == []
    watch(Step.PUSHED)
    watch(Step.PUSHED)
    assert sent == [signal.SIGSTOP]
    assert not path.exists()
