"""Tests of the journal."""

import pytest

from tests.demo.journal import Journal, Kind, Wrong


def test_requests_and_errors_belong_to_the_stage_they_happened_in() -> None:
    """Each stage has its own figures, and the journal has their sum."""
    journal = Journal()
    journal.begin("off")
    journal.answered(0.001)
    journal.begin("dualwrite")
    journal.answered(0.002)
    journal.answered(0.004)
    journal.wrong("client_1", "retrieve", Wrong(Kind.LOST, "somewhere/1 is missing"))
    assert [(s.stage, s.requests, s.errors) for s in journal.sections] == [
        ("off", 1, 0),
        ("dualwrite", 2, 1),
    ]
    assert journal.requests == 3


def test_percentiles_are_milliseconds_and_absent_without_requests() -> None:
    """A figure that was not measured is not a number."""
    section = Journal().begin("off")
    assert section.percentile(50) is None
    section.milliseconds += [1.0, 2.0, 9.0]
    assert section.percentile(50) == pytest.approx(2.0)


def test_a_section_stops_its_clock_when_the_next_begins() -> None:
    """Seconds are those of the stage alone."""
    journal = Journal()
    first = journal.begin("off")
    journal.begin("dualwrite")
    assert first.seconds == first.seconds


def test_a_complaint_says_who_when_and_what() -> None:
    """One line is enough to start looking."""
    journal = Journal()
    journal.begin("ramp 50 %")
    journal.wrong("client_1", "retrieve", Wrong(Kind.LOST, "c/1 is missing"))
    (complaint,) = journal.complaints
    assert str(complaint) == "[ramp 50 %] client_1 retrieve: lost write: c/1 is missing"
