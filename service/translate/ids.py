"""``has_id`` and ``slice``: conditions on the point's id."""

from collections.abc import Iterable
from decimal import Decimal

from service.model.ids import sorted_keys
from service.model.qdrant import Slice
from service.translate.point_ids import point_id_of
from service.translate.sql import FALSE, Argument, Sql, sql


def has_id(key: Sql, ids: Iterable[object]) -> Sql:
    """Say whether the point's key is among those of the ids. Raises ``MalformedBody``."""
    keys = sorted_keys(point_id_of(point_id) for point_id in ids)
    return sql(key, " = ANY(", Argument(keys), "::bytea[])")


def in_slice(key: Sql, wanted: Slice) -> Sql:
    """Say whether the id belongs to one of ``total`` parts of all ids: its hash, modulo ``total``, is the index."""
    if not 0 <= wanted.index < wanted.total:
        return FALSE
    total, index = Argument(Decimal(wanted.total)), Argument(Decimal(wanted.index))
    return sql("vecferry.point_hash(", key, ") % ", total, "::numeric = ", index, "::numeric")
