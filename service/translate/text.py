"""``text``, ``text_any`` and ``phrase``: matches on the tokens of a string.

Without a text index each element of an array stands for itself, cut into lower-case words. With one its settings make
the tokens, and the tokens of all elements are one set; a phrase still lies within one element, and only an index that
says so (``phrase_matching``) finds phrases. Inside ``nested`` elements stand for themselves again.
A query without tokens matches nothing.
"""

from enum import Enum, auto
from typing import assert_never

from service.translate.jsonpath import has_element, selector, some_element
from service.translate.paths import Path
from service.translate.rows import Row
from service.translate.sql import FALSE, Argument, Sql, sql
from service.translate.tokenizing import Tokenizing, tokenizing

_WORDS = Tokenizing()


class Wanted(Enum):
    """What must be there of a query."""

    ALL = auto()
    ANY = auto()
    PHRASE = auto()


def has_tokens(row: Row, path: Path, query: str, wanted: Wanted, where: str) -> Sql:
    """Say whether the strings at the path have the query's tokens.

    Raises ``Unsupported`` for an index whose tokens cannot be made here; ``where`` is the match's place in the request.
    """
    index = row.index(path)
    if index is None or index.kind != "text":
        return _in_an_element(row.payload, path, query, wanted, _WORDS)
    settings = tokenizing(index, where)
    if wanted is Wanted.PHRASE and not index.options.get("phrase_matching"):
        return FALSE
    if row.is_element or wanted is Wanted.PHRASE:
        return _in_an_element(row.payload, path, query, wanted, settings)
    found = _compared(indexed_tokens(row.payload, path, settings), query, wanted, settings)
    return sql("(", found, ") IS TRUE")


def indexed_tokens(payload: Sql, path: Path, settings: Tokenizing) -> Sql:
    """Return the tokens of all strings at the path, as text[]; what an SQL index on them is made of."""
    texts = sql("vecferry.texts(", payload, ", ", Argument(selector(path)), "::jsonpath)")
    return settings.tokens(texts)


def _in_an_element(
    payload: Sql, path: Path, query: str, wanted: Wanted, settings: Tokenizing
) -> Sql:
    found = _compared(settings.tokens(sql("element.v #>> '{}'")), query, wanted, settings)
    is_string = has_element(payload, path, '@.type() == "string"')
    test = sql("jsonb_typeof(element.v) = 'string' AND ", found)
    return sql(is_string, " AND ", some_element(payload, path, test))


def _compared(tokens: Sql, query: str, wanted: Wanted, settings: Tokenizing) -> Sql:
    """Compare tokens with the query's; NULL when it has none."""
    # A subquery is evaluated once, an expression of the query for every row.
    match wanted:
        case Wanted.ALL:
            return sql(tokens, " @> ", _sought(query, settings))
        case Wanted.ANY:
            return sql(tokens, " && ", _sought(query, settings))
        case Wanted.PHRASE:
            # No token holds the end of a line.
            phrase = sql(
                "(SELECT E'\\n' || array_to_string(nullif(",
                settings.tokens(_given(query)),
                ", '{}'), E'\\n') || E'\\n')",
            )
            return sql(
                "position(",
                phrase,
                " IN E'\\n' || array_to_string(",
                tokens,
                ", E'\\n') || E'\\n') > 0",
            )
        case _:
            assert_never(wanted)


def _sought(query: str, settings: Tokenizing) -> Sql:
    return sql("(SELECT nullif(", settings.tokens(_given(query), sought=True), ", '{}'))")


def _given(query: str) -> Sql:
    # Postgres has no NUL; like NUL, a blank ends a token.
    return sql(Argument(query.replace("\x00", " ")), "::text")
