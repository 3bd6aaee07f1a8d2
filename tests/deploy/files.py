"""Reads what is under deploy/ as data, so that its tests can hold it against the code."""

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE_FILE = DEPLOY / "docker-compose.yml"
PROMETHEUS = DEPLOY / "prometheus"

Tree = dict[str, Any]


def compose() -> Tree:
    """Return the compose file as written, variables not replaced."""
    return _yaml(COMPOSE_FILE)


def prometheus() -> Tree:
    """Return the Prometheus configuration."""
    return _yaml(PROMETHEUS / "prometheus.yml")


def rules() -> list[Tree]:
    """Return the alerts of every group."""
    return [rule for group in _yaml(PROMETHEUS / "rules.yml")["groups"] for rule in group["rules"]]


def panels() -> list[Tree]:
    """Return the panels of the dashboard."""
    tree = json.loads((DEPLOY / "grafana" / "dashboards" / "vecferry.json").read_text())
    return [panel for panel in tree["panels"] if panel["type"] != "row"]


def env_example() -> dict[str, str]:
    """Return the assignments of ``.env.example``."""
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, continuation lines joined, comments left out."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    words = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(keyword.upper(), rest) for keyword, rest in words]


def _yaml(path: Path) -> Tree:
    tree = yaml.safe_load(path.read_text())
    assert isinstance(tree, dict)
    return tree
