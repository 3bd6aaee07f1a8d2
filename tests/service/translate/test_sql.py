"""Statements as values."""

from service.translate.sql import Argument, Identifier, join, number, sql


def test_arguments_are_numbered_when_rendered() -> None:
    """In order of appearance; one object used twice is one argument, equal values are two."""
    shared = Argument("x")
    statement = sql("a = ", shared, " AND b = ", Argument(1), " AND c = ", shared)
    assert statement.render() == ("a = $1 AND b = $2 AND c = $1", ["x", 1])
    twice = join(", ", [sql(Argument(1)), sql(Argument(1))])
    assert twice.render() == ("$1, $2", [1, 1])


def test_a_client_cannot_leave_an_identifier() -> None:
    """Quotes are doubled, parts are quoted one by one."""
    assert Identifier(("s", 'a"; DROP TABLE x')).quoted() == '"s"."a""; DROP TABLE x"'


def test_braces_and_question_marks_are_plain_text() -> None:
    """No marker stands in the text, so jsonb's operators cannot clash with one."""
    assert sql("p ?| '{}' LIMIT ", number(5)).render() == ("p ?| '{}' LIMIT 5", [])
