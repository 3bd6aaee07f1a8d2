"""What an answer carries of each point: select list, joins, and how a row becomes payload and vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.model.points import Payload, VectorValue
from service.model.qdrant import WithPayloadInterface, WithVector
from service.stores.configuration import VectorKind
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.jsontext import exact
from service.stores.postgres.vector_tables import VectorTable
from service.stores.postgres.vectors import loaded, loaded_rows, vector_table
from service.translate.projection import Projection, projection
from service.translate.sql import Argument, Sql, number, sql

# Before the text, the binary form of jsonb has one byte for its version.
_TEXT = slice(1, None)


@dataclass(frozen=True, slots=True)
class Shape:
    """What an answer carries of each point; ``None`` is nothing."""

    payload: Projection | None
    vectors: tuple[VectorTable, ...] | None
    is_whole_payload: bool = False
    """The projection leaves every payload as it is."""

    @property
    def columns(self) -> Sql:
        """Return the further columns of a select list, for the points ``p`` and the :meth:`joins`."""
        payload = sql(", pg_catalog.jsonb_send(p.payload) AS payload") if self.payload else sql()
        vectors = (
            sql(", ", vector.column(_alias(at)), " AS ", _alias(at))
            for at, vector in enumerate(self.vectors or ())
        )
        return sql(payload, *vectors)

    def joins(self, start: bytes | None = None) -> Sql:
        """Return the joins from the points ``p``, whose keys begin at ``start``, to the vectors.

        The planner does not conclude that the vectors' keys begin there too: a merge would read all that lie before.
        """
        return sql(
            *(
                sql(
                    " LEFT JOIN ",
                    vector.table,
                    " AS ",
                    _alias(at),
                    " ON ",
                    _alias(at),
                    ".key = p.key",
                    _from(at, start),
                )
                for at, vector in enumerate(self.vectors or ())
            )
        )

    def payload_of(self, row: Mapping[str, Any]) -> Payload | None:
        """Return the wanted part of the row's payload."""
        return self.payload(orjson.loads(row["payload"][_TEXT])) if self.payload else None

    @property
    def is_in_columns(self) -> bool:
        """Whether rows can be answered without a look into their payloads."""
        return self.payload is None or self.is_whole_payload

    def payload_column(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[bytes] | None:
        """Return the rows' whole payloads as JSON texts for a client, if they are wanted."""
        if self.payload is None:
            return None
        return exact([row["payload"][_TEXT] for row in rows])

    def vector_columns(
        self, rows: Sequence[Mapping[str, Any]]
    ) -> dict[str, Sequence[VectorValue | None]] | None:
        """Return the rows' vectors by name, ``None`` for one that a point does not have."""
        if self.vectors is None:
            return None
        return {
            vector.name: _column(vector, [row[f"v{at}"] for row in rows])
            for at, vector in enumerate(self.vectors)
        }

    def vectors_of(self, row: Mapping[str, Any]) -> dict[str, VectorValue] | None:
        """Return the row's vectors by name."""
        if self.vectors is None:
            return None
        found = ((vector, row[f"v{at}"]) for at, vector in enumerate(self.vectors))
        return {vector.name: loaded(vector, value) for vector, value in found if value is not None}


def shape(
    tables: CollectionTables,
    with_payload: WithPayloadInterface | None,
    with_vector: WithVector | None,
) -> Shape:
    """Return what to read. Raises ``WrongInput`` for a vector that the collection does not have."""
    vectors: tuple[VectorTable, ...] | None = None
    if with_vector is True:
        vectors = tuple(tables.vectors.values())
    elif isinstance(with_vector, list):
        vectors = tuple(vector_table(tables, name) for name in with_vector)
    return Shape(projection(with_payload), vectors, is_whole_payload=with_payload is True)


def _column(table: VectorTable, values: Sequence[Any]) -> Sequence[VectorValue | None]:
    """Return one vector's values of many rows."""
    if table.kind is VectorKind.DENSE and values and None not in values:
        return loaded_rows(table, values)
    return [None if value is None else loaded(table, value) for value in values]


def _alias(at: int) -> Sql:
    return sql("v", number(at))


def _from(at: int, start: bytes | None) -> Sql:
    if start is None:
        return sql()
    return sql(" AND ", _alias(at), ".key >= ", Argument(start), "::bytea")
