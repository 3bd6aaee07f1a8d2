"""The protocol's models, explored whole: they hold, and not without any of the rules."""

import re

import pytest

from tests.model.cases import BASES, DEEP, MUTATIONS, Case
from tests.model.explore import MODELS, explore, missing

_NAME = re.compile(r"[A-Z_]{2,}")

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"needs spin and gcc: {missing()}")


@pytest.mark.parametrize("case", BASES, ids=lambda case: case.name)
def test_the_protocol_holds_in_every_state(case: Case) -> None:
    """The search saw all states, and no claim failed in any."""
    search = explore(case)
    assert search.found is None, "\n".join(search.trail)
    assert search.is_complete
    assert search.states > 100_000


@pytest.mark.parametrize("case", MUTATIONS, ids=lambda case: case.name)
def test_no_rule_can_be_left_out(case: Case) -> None:
    """Without the rule there is a way to a state in which a claim fails."""
    search = explore(case)
    assert search.found is not None, case.rule
    assert search.trail


def test_every_switch_of_the_models_is_explored() -> None:
    """A mutation that is written down in a model is one of the cases."""
    written = {
        (path.stem, word)
        for path in MODELS.glob("*.pml")
        for line in path.read_text().splitlines()
        if line.startswith(("#if", "#elif"))
        for word in _NAME.findall(line)
        if word != "WRITERS"
    }
    named = {(case.model, name) for case in (*DEEP, *MUTATIONS) for name in case.defines}
    assert written == named
