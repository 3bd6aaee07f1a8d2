"""All rows, by the module of ``features`` that has them."""

from collections.abc import Iterable, Mapping

from tests.parity.asks import Row
from tests.parity.features import (
    aliases,
    collections,
    conditions,
    count,
    discover,
    errors,
    facet,
    formula,
    fusion,
    groups,
    kinds,
    legacy,
    matrix,
    mmr,
    named,
    nearest,
    order_by,
    recommend,
    retrieve,
    scroll,
    service,
    writes,
)

_FAMILIES = (
    nearest,
    kinds,
    named,
    conditions,
    recommend,
    discover,
    fusion,
    formula,
    mmr,
    order_by,
    groups,
    matrix,
    facet,
    scroll,
    count,
    retrieve,
    writes,
    collections,
    aliases,
    legacy,
    errors,
    service,
)


def _name(module: object) -> str:
    return getattr(module, "__name__", "").rpartition(".")[2]


def all_rows() -> Mapping[str, Iterable[Row]]:
    """Return the rows of each family."""
    return {_name(family): list(family.rows()) for family in _FAMILIES}


def label(feature: str, row: Row) -> str:
    """Return what a row is called in reports."""
    return f"{feature}: {row.dataset}: {row.name}"
