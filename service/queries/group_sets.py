"""The groups that a grouped query has found so far.

Source: lib/shard/src/grouping/aggregator.rs in Qdrant.
"""

from collections.abc import Sequence
from typing import TypeAlias

from service.model.ids import PointId, encode_key
from service.model.points import Group, Hit
from service.queries.ranking import rank
from service.translate.paths import Path, opened_values_at

GroupKey: TypeAlias = int | str


class GroupSets:
    """Collects up to ``limit`` groups of ``size`` points; hits must carry the payload at ``path``.

    ``in_id_order`` says that hits have no scores of their own.
    """

    def __init__(self, path: Path, *, limit: int, size: int, in_id_order: bool = False) -> None:
        self.limit = limit
        self.size = size
        self.ids: dict[PointId, None] = {}
        """The points that are in a group."""
        self._path = path
        self._groups: dict[GroupKey, dict[PointId, Hit]] = {}
        self._falls: bool | None = False if in_id_order else None

    def add(self, hits: Sequence[Hit]) -> None:
        """Take in the answer of one query, best first; points without a usable value are passed over."""
        if self._falls is None and hits:
            # The best hit of a query comes first, so the first answer says which end of the scale is better.
            self._falls = rank(hits[0]) >= max(rank(hit) for hit in hits)
        for hit in hits:
            for key in self._keys(hit):
                self._groups.setdefault(key, {}).setdefault(hit.id, hit)
                self.ids[hit.id] = None

    def _keys(self, hit: Hit) -> list[GroupKey]:
        values = list(opened_values_at(hit.payload or {}, self._path))
        keys = [value for value in values if _is_key(value)]
        return list(dict.fromkeys(keys)) if len(keys) == len(values) else []

    def full_keys(self) -> list[GroupKey]:
        """Return the values of the groups that have all their points."""
        return [key for key, hits in self._groups.items() if len(hits) >= self.size]

    def open_keys(self) -> list[GroupKey]:
        """Return the values of those among the best groups that miss points."""
        return [key for key in self._best_keys() if len(self._groups[key]) < self.size]

    def is_complete(self) -> bool:
        """Say whether there are enough groups and the best of them are full."""
        best = self._best_keys()
        return sum(len(self._groups[key]) >= self.size for key in best) >= self.limit

    def best(self) -> list[Group]:
        """Return the best groups, the one with the best hit first, each with its best hits."""
        return [Group(key, self._sorted(key)[: self.size]) for key in self._best_keys()]

    def _best_keys(self) -> list[GroupKey]:
        ranks = {key: rank(self._sorted(key)[0]) for key in self._groups}
        best = sorted(ranks, key=lambda key: ranks[key], reverse=bool(self._falls))
        return best[: self.limit]

    def _sorted(self, key: GroupKey) -> list[Hit]:
        """Return the hits of a group; of equal ones the larger id first when larger is better, else the smaller."""
        hits = self._groups[key].values()
        return sorted(
            hits, key=lambda hit: (rank(hit), encode_key(hit.id)), reverse=bool(self._falls)
        )


def _is_key(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)
