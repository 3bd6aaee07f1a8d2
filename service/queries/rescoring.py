"""The evaluation of a formula for every point that the branches of a query returned."""

from collections.abc import Sequence
from dataclasses import replace

from service.model.ids import PointId
from service.model.points import Hit, Payload
from service.model.queries import ByFormula
from service.queries.formula import Formula, compiled
from service.queries.formula_values import PointValues
from service.queries.leaves import Leaves, Selection


async def by_formula(
    wanted: ByFormula, lists: Sequence[Sequence[Hit]], leaves: Leaves
) -> list[Hit]:
    """Return every point once with its score, best first. Raises ``WrongInput`` when one has none."""
    formula = compiled(wanted.formula, wanted.defaults, leaves.indexes())
    first = {hit.id: hit for hits in reversed(lists) for hit in reversed(hits)}
    ids = tuple(dict.fromkeys(hit.id for hits in lists for hit in hits))
    if not ids:
        return []
    payloads = await _payloads(formula, ids, leaves)
    met = await leaves.matching(ids, formula.conditions) if formula.conditions else []
    scores = [{hit.id: hit.score for hit in hits} for hits in lists]
    scored = [
        replace(
            first[point_id],
            order_value=None,
            score=formula.score(
                PointValues(
                    scores=[known.get(point_id) for known in scores],
                    payload=payloads.get(point_id, {}),
                    met=[point_id in matching for matching in met],
                )
            ),
        )
        for point_id in ids
    ]
    return sorted(scored, key=lambda hit: hit.score, reverse=True)


async def _payloads(
    formula: Formula, ids: tuple[PointId, ...], leaves: Leaves
) -> dict[PointId, Payload]:
    """Read the top-level keys that the formula looks into."""
    if not formula.keys:
        return {}
    keys = [f'"{key}"' for key in sorted(formula.keys)]
    hits = await leaves.by_id(Selection(limit=len(ids), among=ids, with_payload=keys))
    return {hit.id: hit.payload or {} for hit in hits}
