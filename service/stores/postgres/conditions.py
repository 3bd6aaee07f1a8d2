"""Filters of dense searches as conditions, kept for the next search.

Applications ask with the same filters over and over, and to look one up by its JSON text takes a tenth of what it takes
to translate it. What is kept belongs to one description of a collection and is not found under another.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache

from service.model.qdrant import Filter
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.estimates import digest_of
from service.translate.filters import filter_sql
from service.translate.indexed import is_served
from service.translate.sql import TRUE, Sql

_LONGEST_KEPT = 2_048
"""Characters: filters with hundreds of values hardly come again, and take much memory."""


@dataclass(frozen=True, slots=True, eq=False)
class FilterCondition:
    """A filter in SQL. The same object stands for an equal filter, as long as it is kept."""

    sql: Sql
    is_served: bool
    """Indexes find the points that match."""
    digest: str
    """What tells it from other conditions."""
    is_kept: bool = True
    """It may come again; what is kept under another one is never found."""


_NONE = FilterCondition(TRUE, is_served=False, digest="")


def filter_condition(tables: CollectionTables, wanted: Filter | None) -> FilterCondition:
    """Return the condition on the point ``p``. Raises ``WrongInput`` and ``Unsupported``."""
    if wanted is None:
        return _NONE
    text = wanted.model_dump_json(exclude_none=True)
    # An infinite number is written as null, whichever of the two it is.
    if len(text) > _LONGEST_KEPT or ":null" in text:
        return replace(_translated(tables, wanted), is_kept=False)
    return _kept(_Key(tables.identity, text, tables, wanted))


def _translated(tables: CollectionTables, wanted: Filter) -> FilterCondition:
    row = tables.row
    condition = filter_sql(wanted, row)
    return FilterCondition(condition, is_served(wanted, row), digest_of(condition))


@dataclass(frozen=True, slots=True)
class _Key:
    identity: object
    text: str
    tables: CollectionTables = field(compare=False)
    filter: Filter = field(compare=False)


@lru_cache(maxsize=1024)
def _kept(key: _Key) -> FilterCondition:
    return _translated(key.tables, key.filter)
