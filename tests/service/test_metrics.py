"""The proxy's metrics as Prometheus reads them."""

from prometheus_client import CollectorRegistry, generate_latest

from service.errors import Refusal
from service.metrics import ProxyMetrics
from service.stages import Side, Stage


def test_what_will_be_looked_for_is_there_from_the_start() -> None:
    """A series that only appears with its first event cannot be alerted on."""
    registry = CollectorRegistry()
    ProxyMetrics(registry)
    written = generate_latest(registry).decode()
    for stage in Stage:
        assert f'vecferry_collections{{stage="{stage}"}} 0.0' in written
    for side in Side:
        for state in ("open", "failing", "dead"):
            assert f'vecferry_ledger_size{{behind="{side}",state="{state}"}} 0.0' in written
        assert f'vecferry_intents_total{{behind="{side}"}} 0.0' in written
    for reason in Refusal:
        assert f'vecferry_refused_requests_total{{reason="{reason}"}} 0.0' in written
    for name in ("stale_epoch", "unknown_outcomes", "control_refresh_errors"):
        assert f"vecferry_{name}_total 0.0" in written


def test_two_instances_in_a_process_do_not_share_metrics() -> None:
    """The registry is handed in; nothing is global."""
    first, second = CollectorRegistry(), CollectorRegistry()
    ProxyMetrics(first).stale_epochs.inc()
    ProxyMetrics(second)
    assert first.get_sample_value("vecferry_stale_epoch_total") == 1
    assert second.get_sample_value("vecferry_stale_epoch_total") == 0
