"""The clauses of a filter, each of which is a list of conditions, one alone, or missing."""

from typing import TypeAlias

from service.model.qdrant import Condition

Clause: TypeAlias = list[Condition] | Condition | None


def conditions_in(clause: Clause) -> list[Condition]:
    """Return the conditions of a clause."""
    if clause is None:
        return []
    return clause if isinstance(clause, list) else [clause]
