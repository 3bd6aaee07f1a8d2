"""Payload index schemas as every store keeps and shows them: what a client wrote, what collection info answers."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from service.errors import MalformedBody
from service.model.qdrant import (
    PayloadFieldSchema,
    PayloadIndexInfo,
    PayloadSchemaParams,
    PayloadSchemaType,
)

_SCHEMA: TypeAdapter[Any] = TypeAdapter(PayloadFieldSchema)


def parse_schema(schema: Any) -> PayloadSchemaType | PayloadSchemaParams:
    """Return the model of a ``field_schema``; raises ``MalformedBody``."""
    try:
        parsed: PayloadSchemaType | PayloadSchemaParams = _SCHEMA.validate_python(schema)
    except ValidationError as error:
        raise MalformedBody(f"field_schema: {error.errors()[0]['msg']}") from error
    return parsed


def index_info(schema: Any, points: int) -> PayloadIndexInfo:
    """Return what collection info says of one index."""
    parsed, kind = parse_schema(schema), schema_type(schema)
    if isinstance(parsed, PayloadSchemaType):
        return PayloadIndexInfo(data_type=kind, points=points)
    return PayloadIndexInfo(data_type=kind, params=parsed, points=points)


def schema_type(schema: Any) -> PayloadSchemaType:
    """Return the type in a ``field_schema``; raises ``MalformedBody``."""
    parsed = parse_schema(schema)
    if isinstance(parsed, PayloadSchemaType):
        return parsed
    return PayloadSchemaType(parsed.model_dump()["type"].value)


def field_schema(info: PayloadIndexInfo) -> Any:
    """Return the ``field_schema`` that would make an index of which collection info says this."""
    if info.params is None:
        return info.data_type.value
    return info.params.model_dump(mode="json", exclude_none=True)
