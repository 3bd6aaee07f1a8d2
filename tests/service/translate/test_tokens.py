"""The SQL functions that cut texts into tokens, against the engine's text indexes."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.qdrant import Filter
from service.stores.postgres.database import Database
from tests.service.translate import engine

_LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")


async def _tokens(database: Database, texts: Sequence[str], *settings: object) -> list[list[str]]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT vecferry.tokens(t, $2, $3, $4, $5, $6, $7, $8) AS tokens"
            " FROM unnest($1::text[]) WITH ORDINALITY AS given(t, n) ORDER BY n",
            texts,
            *settings,
        )
    return [row["tokens"] for row in rows]


@pytest.mark.parametrize("folding", [False, True])
async def test_every_kind_of_letter_is_cut_and_lowered_as_in_the_engine(
    database: Database, tmp_path: Path, folding: bool
) -> None:
    """Characters of all planes: the engine finds each text by exactly the tokens that SQL makes of it."""
    rng = Random(1)
    points = [rng.randrange(1, 0x34000) for _ in range(800)]
    points += [*range(0x80, 0x600, 3), 0x323B0, 0x33479]
    letters = [chr(point) for point in points if not 0xD800 <= point <= 0xDFFF]
    texts = [f"q{letter}q Z{letter}" for letter in letters]
    cut = await _tokens(database, texts, "word", True, folding, [], None, None, False)
    joined = [" ".join(tokens) for tokens in cut]
    again = await _tokens(database, joined, "word", True, folding, [], None, None, True)
    schema = {"x": {"type": "text", "ascii_folding": folding, "phrase_matching": True}}
    with engine.opened(tmp_path, schema) as shard:
        engine.store(shard, {number: {"x": text} for number, text in enumerate(texts)})
        for number, (tokens, query) in enumerate(zip(cut, joined, strict=True)):
            wanted = {"must": [{"key": "x", "match": {"phrase": query}}, {"has_id": [number]}]}
            found = engine.matching(shard, Filter.model_validate(wanted), 2)
            # A letter may be lowered to one that is folded the next time.
            assert (found == {number}) == (again[number] == tokens), (texts[number], tokens)


@given(text=st.text(_LETTERS, max_size=12))
async def test_no_text_is_too_odd(database: Database, text: str) -> None:
    """Any text has tokens, and no token has a character that ends one."""
    for tokenizer in ("word", "whitespace", "prefix"):
        (tokens,) = await _tokens(database, [text], tokenizer, True, True, ["a"], 1, 5, False)
        assert all(token and "\n" not in token and " " not in token for token in tokens)


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("The quick-Fox", ("word", True, False, [], None, None, False), ["the", "quick", "fox"]),
        ("The quick", ("word", False, False, [], None, None, False), ["The", "quick"]),
        (
            "a\u3000b\u00a0c-d",
            ("whitespace", True, False, [], None, None, False),
            ["a", "b", "c-d"],
        ),
        ("fox the", ("prefix", True, False, ["the"], 2, 3, False), ["fo", "fox"]),
        ("foxes the t", ("prefix", True, False, ["the"], 2, 3, True), ["fox", "the"]),
        ("a bb ccc dddd", ("word", True, False, [], 2, 3, False), ["bb", "ccc"]),
        ("Çà ⑩ ﬁ", ("word", True, True, [], None, None, False), ["ca", "10", "fi"]),
        ("ΟΔΟΣ ΣΑΣ Σ", ("word", True, False, [], None, None, False), ["οδος", "σας", "\u03c3"]),
        ("İI", ("word", True, False, [], None, None, False), ["i\u0307i"]),
        (None, ("word", True, False, [], None, None, False), []),
    ],
)
async def test_settings(
    database: Database, text: str, settings: tuple[object, ...], expected: list[str]
) -> None:
    """Each setting of a text index does to a text what its name says."""
    assert await _tokens(database, [text], *settings) == [expected]
