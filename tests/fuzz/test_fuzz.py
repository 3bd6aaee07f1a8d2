"""A bounded run of the fuzzer: no answer of a server that broke, none that hangs, none that differs in its status."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.documented import (
    CANCELLED,
    DIFFERENT,
    INFINITE,
    REFUSED_BY_ENGINE,
    Documented,
)
from tests.fuzz.requests import Request, requests
from tests.fuzz.right import READS, WRITES
from tests.fuzz.rounds import Game
from tests.fuzz.running import running_rig

_REQUESTS = 200
_ANSWERED = 0.5


@pytest.mark.timeout(400)  # each request has a limit of its own
def test_both_systems_refuse_and_answer_alike(module_database_url: str, tmp_path: Path) -> None:
    """Rounds of requests from the document, right and wrong ones, on a world that is laid out anew each time."""
    with running_rig(module_database_url, tmp_path) as running:
        game = Game(running.both)

        @settings(
            max_examples=_REQUESTS,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(requests())
        def one(request: Request) -> None:
            running.wait(game.play(request))

        one()
    assert game.findings.requests >= _REQUESTS // 2
    assert not game.findings.wrong, str(game.findings)
    # Requests that are only refused try nothing but the refusals.
    assert game.findings.share(READS) >= _ANSWERED
    assert game.findings.share(WRITES) >= _ANSWERED


@pytest.mark.parametrize(
    "known", [*REFUSED_BY_ENGINE, CANCELLED, INFINITE, *DIFFERENT], ids=lambda known: known.pattern
)
def test_what_is_excused_is_documented(known: Documented) -> None:
    """The sentence that excuses a refusal stands in its page."""
    assert known.is_written()
