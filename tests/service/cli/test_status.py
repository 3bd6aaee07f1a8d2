"""``vecferry status``: what it says below the table."""

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.cli.client import ControlClient
from tests.service.cli.shown import a_job

UNSETTLED = {"open": 3, "failing": 1, "dead": 0, "hint": 0}

CALM = {
    "instance": "i", "revision": 1, "detached": False, "stages_known": True,
    "source_error": None, "target_error": None,
    "unsettled": UNSETTLED, "ledger_unread": {}, "upkeep": None,
    "collections": [],
}  # fmt: skip


def upkeep(**changes: object) -> dict[str, object]:
    """Return what continuous verification and the quarantine have to say."""
    calm: dict[str, object] = {"quarantine": {}, "continuous": None, "miscounted": []}
    return {**calm, **changes}


def found(store: str | None) -> dict[str, object]:
    """Return a confirmed difference."""
    last = {"collection": "docs", "id": 7, "kinds": ["payload"], "probably_changed": store}
    return {"differing": 3, "last": [last]}


def _told(monkeypatch: pytest.MonkeyPatch, **changes: object) -> str:
    class Control:
        def status(self) -> dict[str, object]:
            return {**CALM, **changes}

    monkeypatch.setattr(ControlClient, "from_settings", classmethod(lambda _: Control()))
    ran = CliRunner().invoke(app, ["status"])
    assert ran.exit_code == 0
    return ran.output


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"detached": True}, "detached: this instance works without Postgres"),
        (
            {"detached": True, "source_error": "away"},
            "detached: this instance reaches neither store",
        ),
        ({"detached": True, "stages_known": False}, "the stages were read from neither store yet"),
        ({"source_error": "Qdrant [x] is away"}, "Qdrant: Qdrant [x] is away"),
        ({"target_error": "away"}, "Postgres: away"),
        ({"ledger_unread": {"source": "away"}}, "the hints could not be read: away"),
        ({"unsettled": {**UNSETTLED, "dead": 2}}, "2 dead letter(s)"),
        ({"unsettled": {**UNSETTLED, "hint": 7}}, "7 hint(s) wait in Qdrant"),
        (
            {"upkeep": upkeep(quarantine={"docs": {"blocking": 2, "waived": 1}})},
            "2 point(s) that Postgres cannot hold: see `vecferry quarantine list`",
        ),
        (
            {"upkeep": upkeep(continuous=found("target"))},
            "last docs/7 (target was probably changed): run `vecferry verify`",
        ),
        (
            {"upkeep": upkeep(continuous=found(None))},
            "last docs/7 (which store was changed is not known)",
        ),
        (
            {"upkeep": upkeep(miscounted=[{"collection": "docs", "source": 9, "target": 8}])},
            "docs has 9 points in Qdrant and 8 in Postgres, without a write in between",
        ),
    ],
)
def test_what_is_out_of_order_is_said(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], told: str
) -> None:
    """One line for each, and none of them on a calm day."""
    assert told in _told(monkeypatch, **changes)
    assert told.partition(":")[0] not in _told(monkeypatch)


def _row(**unsettled: int) -> dict[str, object]:
    return {
        "name": "docs", "stage": "shadow", "percent": 100, "authority": "source", "frozen": False,
        "unsettled": {**dict.fromkeys(UNSETTLED, 0), **unsettled},
        "points": 3, "backfill": None, "verify": None, "parity": None,
    }  # fmt: skip


def test_a_ledger_that_could_not_be_read_is_never_shown_as_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 0 says that both stores are equal; who cannot ask Postgres does not know that."""
    unread = {"target": "away"}
    assert " ? " in _told(monkeypatch, collections=[_row()], ledger_unread=unread)
    assert " 7 hint, ? " in _told(monkeypatch, collections=[_row(hint=7)], ledger_unread=unread)
    off = {**_row(), "stage": "off"}
    assert " 0 " in _told(monkeypatch, collections=[off], ledger_unread=unread)
    assert " 0 " in _told(monkeypatch, collections=[_row()])


def test_a_stage_that_is_not_known_is_not_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance that starts while Postgres is away knows nothing yet; ``off`` would say that the mirror is gone."""
    row = {**_row(), "stage": "off"}
    assert " off " not in _told(monkeypatch, collections=[row], stages_known=False)
    assert " off " in _told(monkeypatch, collections=[row])


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (a_job(state="done", phase="done", scanned=3, total=3), "done 3/3"),
        (a_job(scanned=3, note="target latency 412 ms > 250 ms"), "target latency 412 ms > 250 ms"),
        (a_job(scanned=3, points_per_second=1.0), "1 now points/s"),
        (a_job(state="failed", phase="failed", error="no way"), "error: no way"),
        (a_job(state="done", phase="done", clean=False), "done: NOT EQUAL 0/100000"),
        (a_job(phase="finishing", points_per_second=0.0, note="why"), "finishing 0/100000, why"),
    ],
)
def test_a_job_is_told_with_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, job: dict[str, object], told: str
) -> None:
    """In both columns alike."""
    for kind in ("backfill", "verify"):
        assert told in _told(monkeypatch, collections=[{**_row(), kind: job}])
