"""A bounded run of the fuzzer: no answer of a server that broke, none that hangs, none that differs in its status."""

from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.requests import Request, requests
from tests.fuzz.rounds import Findings, play
from tests.fuzz.running import running_rig


def test_both_systems_refuse_and_answer_alike(session_database_url: str, tmp_path: Path) -> None:
    """Rounds of requests from the document, right and wrong ones, on a world that is laid out anew each time."""
    findings = Findings()
    with running_rig(session_database_url, tmp_path) as running:

        @settings(
            max_examples=25,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(requests(), min_size=15, max_size=15))
        def rounds(drawn: list[Request]) -> None:
            running.wait(play(running.both, drawn, findings))

        rounds()
    assert findings.requests >= 25 * 15
    assert not findings.wrong, str(findings)
