"""How a text index cuts texts into tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import Unsupported
from service.translate.payload_index import PayloadIndex
from service.translate.sql import Argument, Sql, sql
from service.translate.stopwords import STOPWORDS

_TOKENIZERS = frozenset({"word", "whitespace", "prefix"})


@dataclass(frozen=True, slots=True)
class Tokenizing:
    """The settings, with Qdrant's defaults; lengths are in characters."""

    tokenizer: str = "word"
    lowercase: bool = True
    folding: bool = False
    stopwords: tuple[str, ...] = ()
    shortest: int | None = None
    longest: int | None = None

    def tokens(self, text: Sql, *, sought: bool = False) -> Sql:
        """Return the tokens of a text in order, as text[]; ``sought``: of a query, whose prefixes are not cut up."""
        return sql(
            "vecferry.tokens(",
            text,
            ", ",
            Argument(self.tokenizer),
            "::text, ",
            Argument(self.lowercase),
            "::boolean, ",
            Argument(self.folding),
            "::boolean, ",
            Argument(list(self.stopwords)),
            "::text[], ",
            Argument(self.shortest),
            "::int, ",
            Argument(self.longest),
            "::int, ",
            Argument(sought),
            "::boolean)",
        )


def tokenizing(index: PayloadIndex, where: str) -> Tokenizing:
    """Return the settings of a text index. Raises ``Unsupported`` for those that need a dictionary."""
    options = index.options
    tokenizer = str(options.get("tokenizer") or "word")
    if tokenizer not in _TOKENIZERS:
        raise Unsupported(where, f"needs the tokenizer {tokenizer}, which this store does not have")
    if _stems(options.get("stemmer")):
        raise Unsupported(
            where, "needs the stemmer of the text index, which this store does not have"
        )
    if options.get("nested") is not None:
        raise Unsupported(where, "needs a text index per element, which this store does not have")
    lowercase = options.get("lowercase") is not False
    return Tokenizing(
        tokenizer=tokenizer,
        lowercase=lowercase,
        folding=bool(options.get("ascii_folding")),
        stopwords=_stopwords(options.get("stopwords"), where, lowercase=lowercase),
        shortest=options.get("min_token_len"),
        longest=options.get("max_token_len"),
    )


def _stems(stemmer: Any) -> bool:
    return isinstance(stemmer, Mapping) and stemmer.get("type") == "snowball"


def _stopwords(given: Any, where: str, *, lowercase: bool) -> tuple[str, ...]:
    """Return the words that an index leaves out; its own ones are lowered with the tokens, a language's are lower."""
    languages: list[str]
    custom: list[str]
    match given:
        case None:
            languages, custom = [], []
        case str():
            languages, custom = [given], []
        case Mapping():
            languages, custom = given.get("languages") or [], given.get("custom") or []
        case _:
            raise Unsupported(where, "has stop words that this store cannot read")
    words = {word.lower() if lowercase else word for word in custom}
    for language in languages:
        if language not in STOPWORDS:
            raise Unsupported(
                where, f"needs the stop words of {language}, which this store does not have"
            )
        words |= STOPWORDS[language]
    return tuple(sorted(words))
