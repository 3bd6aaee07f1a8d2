"""Boolean matches, which the engine's binding cannot express: it turns ``True`` into the integer 1.

A condition ``match: true`` is therefore resolved here, inside the engine's process, to the ids that have the boolean,
and handed to the engine as a condition on ids. This reads the field of every point that has one.
"""

from collections.abc import Callable
from typing import TypeAlias

import qdrant_edge as edge

from service.translate.paths import elements_at, parse_path, spell

BooleanMatches: TypeAlias = Callable[[str, bool], edge.HasIdCondition]
"""From a payload path and a boolean to the condition that matches the same points."""

_PAGE = 1000


def boolean_matches(shard: edge.EdgeShard) -> BooleanMatches:
    """Return a resolver that reads from this shard."""

    def resolve(path: str, wanted: bool) -> edge.HasIdCondition:  # noqa: FBT001 - a matched value
        steps = parse_path(path)
        has_some = edge.Filter(must_not=[edge.IsEmptyCondition(path)])
        # The whole field, not the path: selecting `a[1]` would leave a shorter array.
        field = edge.PayloadSelector.Include([spell(steps[:1])])
        found, offset = set(), None
        while True:
            page, offset = shard.scroll(
                edge.ScrollRequest(offset=offset, limit=_PAGE, filter=has_some, with_payload=field)
            )
            found |= {
                record.id
                for record in page
                if any(value is wanted for value in elements_at(record.payload, steps))
            }
            if offset is None:
                return edge.HasIdCondition(found)

    return resolve
