"""deploy/prometheus against the code and the compose file, and by promtool where there is one."""

import re
import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry

from backfill.jobs import JobState
from backfill.metrics import (
    BackfillMetrics,
    ContinuousMetrics,
    JobGauges,
    QuarantineMetrics,
    QuarantineState,
    ThrottleMetrics,
)
from service.config import Settings
from service.errors import Refusal
from service.metrics import ProxyMetrics
from service.protocol.book import LineState
from service.protocol.breaker import Circuit
from service.stages import Side
from shadow.compare import Outcome
from shadow.metrics import ShadowMetrics
from tests.deploy.files import PROMETHEUS, compose, panels, prometheus, rules

_OURS = re.compile(r"\bvecferry_\w+")
_LABEL = re.compile(r'(?P<label>\w+)(?:=~|!~|!=|=)"(?P<values>[^"]*)"')


def test_targets_are_services_of_the_compose_file() -> None:
    """Prometheus scrapes the proxy under its service name and its default port."""
    targets = [
        target
        for job in prometheus()["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    ]
    port = Settings.model_fields["port"].default
    assert targets == [f"vecferry:{port}"]
    assert "vecferry" in compose()["services"]


def _exposed() -> set[str]:
    """Return the names of our samples, as they are scraped."""
    registry = CollectorRegistry()
    for metrics in (
        ProxyMetrics,
        ShadowMetrics,
        BackfillMetrics,
        ContinuousMetrics,
        QuarantineMetrics,
        JobGauges,
        ThrottleMetrics,
    ):
        metrics(registry)
    names = set()
    for family in registry.collect():
        # A counter's family is named without the suffix that its samples carry.
        names.add(f"{family.name}_total" if family.type == "counter" else family.name)
        if family.type == "histogram":
            names.add(f"{family.name}_bucket")
    return names


def test_alerts_name_metrics_that_exist() -> None:
    """An alert on a renamed metric would be silent for ever."""
    named = {name for rule in rules() for name in _OURS.findall(rule["expr"])}
    assert named
    assert named <= _exposed()


def test_the_dashboard_names_metrics_that_exist() -> None:
    """A panel of a renamed metric would be empty when it is needed."""
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert expressions
    for expression in expressions:
        assert (named := set(_OURS.findall(expression)))
        assert named <= _exposed(), expression


def test_the_dashboards_panels_have_places_of_their_own() -> None:
    """Two panels in one place hide each other."""
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("state", {*LineState, *Circuit, *QuarantineState, *JobState}),
        ("behind", set(Side)),
        ("reason", set(Refusal)),
    ],
)
def test_label_values_exist(label: str, known: set[str]) -> None:
    """A misspelt value would match nothing."""
    expressions = [rule["expr"] for rule in rules()]
    expressions += [target["expr"] for panel in panels() for target in panel["targets"]]
    named = {
        value
        for expression in expressions
        for hit in _LABEL.finditer(expression)
        if hit["label"] == label
        for value in hit["values"].split("|")
    }
    assert named <= known


def test_alerts_on_shadow_reads_name_outcomes_that_exist() -> None:
    """A misspelt outcome would match nothing, or leave nothing out."""
    named = {
        value
        for rule in rules()
        if "vecferry_shadow_reads_total" in rule["expr"]
        for hit in _LABEL.finditer(rule["expr"])
        if hit["label"] == "outcome"
        for value in hit["values"].split("|")
    }
    assert named
    assert named <= set(Outcome)


def test_every_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    """Whoever is woken up reads what happened and what comes next."""
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "action"}, rule["alert"]


def test_the_rules_the_configuration_loads_are_mounted() -> None:
    """Prometheus starts only when every file it names is in the container."""
    mounted = [mount.split(":")[1] for mount in compose()["services"]["prometheus"]["volumes"]]
    assert {f"/etc/prometheus/{name}" for name in prometheus()["rule_files"]} <= set(mounted)


@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")]
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    """Prometheus' own tool accepts the configuration and the alerts pass their unit tests."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        [promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
