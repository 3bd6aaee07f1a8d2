"""Payload index schemas as the engine takes them."""

from typing import Any

import qdrant_edge as edge

from service.model.qdrant import (
    DisabledStemmerParams,
    Language,
    Memory,
    PayloadSchemaType,
    SnowballParams,
    StopwordsSet,
    TextScoringParams,
    TokenizerType,
)
from service.stores.edge.enums import engine_enum
from service.stores.payload_schema import parse_schema


def engine_schema(schema: Any) -> Any:
    """Return the engine's form of a ``field_schema``."""
    parsed = parse_schema(schema)
    if isinstance(parsed, PayloadSchemaType):
        return engine_enum(edge.PayloadSchemaType, parsed)
    values = {name: _engine_value(value) for name, value in parsed if name != "type"}
    params = getattr(edge, type(parsed).__name__)
    return params(**{name: value for name, value in values.items() if value is not None})


def _engine_value(value: Any) -> Any:
    match value:
        case Memory():
            return engine_enum(edge.Memory, value)
        case TokenizerType():
            return engine_enum(edge.TokenizerType, value)
        case Language():
            return engine_enum(edge.Language, value)
        case StopwordsSet(languages=languages, custom=custom):
            chosen = {engine_enum(edge.Language, language) for language in languages or []}
            return edge.StopwordsSet(chosen or None, set(custom) if custom else None)
        case SnowballParams(language=language):
            return edge.SnowballParams(engine_enum(edge.SnowballLanguage, language))
        case DisabledStemmerParams():
            return edge.DisabledStemmer()
        case TextScoringParams():
            return edge.TextScoringParams()
        case _:
            return value
