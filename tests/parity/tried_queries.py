"""Random queries asked of both systems, and what a difference between their answers is worth.

Where two points have the same score Qdrant may take either, and where one of them is cut off, so may everything above
that cut. Such answers count as free; only a difference makes it worth a look whether there was a tie.
"""

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any

from tests.parity.asks import Answer, Ask
from tests.parity.compare import agree, difference
from tests.parity.leaps import ALL, Wrap, below, branches, has_tie, rivals
from tests.parity.query_worlds import World
from tests.parity.random_queries import UNIQUE_FIELDS, Drawn, draw

Both = Callable[[Ask], Awaitable[tuple[Answer, Answer]]]

_PER_REQUEST = 20
_SPREAD = 0.1
_ROUNDING = 5e-5
_DISTANCES = ("Euclid", "Manhattan")
_CANCELLING = ("relevance_feedback", "sum_scores", "formula")
_OK, _FAILED = 200, 500
_CANCELLED = "Operation cancelled"


@dataclass(slots=True)
class Tried:
    """How many queries were compared, and what the sides answered differently."""

    compared: int = 0
    free: int = 0
    points: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


async def try_queries(both: Both, world: World, count: int, rng: Random, tried: Tried) -> None:
    """Compare random reads of a world that both systems hold."""
    drawn = [draw(rng, world) for _ in range(count)]
    queries = [one for one in drawn if one.path == "points/query"]
    for start in range(0, len(queries), _PER_REQUEST):
        await _try_batch(both, world, queries[start : start + _PER_REQUEST], tried)
    for one in drawn:
        if one.path != "points/query":
            await _try_one(both, world, one, tried)


async def _try_batch(both: Both, world: World, drawn: Sequence[Drawn], tried: Tried) -> None:
    searches = [one.body for one in drawn]
    path = f"/collections/{world.main.name}/points/query/batch"
    expected, actual = await both(Ask("POST", path, {"searches": searches}))
    if expected.status == actual.status == _OK:
        pairs = zip(expected.body["result"], actual.body["result"], strict=True)
        for one, (theirs, ours) in zip(drawn, pairs, strict=True):
            answers = [Answer(_OK, {"result": result}) for result in (theirs, ours)]
            await _judge(both, world, one, answers[0], answers[1], tried)
    elif len(drawn) > 1:
        # One query refuses the whole batch: find it.
        middle = len(drawn) // 2
        await _try_batch(both, world, drawn[:middle], tried)
        await _try_batch(both, world, drawn[middle:], tried)
    else:
        await _try_one(both, world, drawn[0], tried)


async def _try_one(both: Both, world: World, one: Drawn, tried: Tried) -> None:
    path = f"/collections/{world.main.name}/{one.path}"
    expected, actual = await both(Ask("POST", path, one.body))
    await _judge(both, world, one, expected, actual, tried)


async def _judge(
    both: Both, world: World, one: Drawn, expected: Answer, actual: Answer, tried: Tried
) -> None:
    tried.compared += 1
    if expected.status != _OK:
        text = str(expected.body["status"]["error"])
        tried.refused[text] += 1
        # The engine keeps to itself why a formula has no value.
        if _CANCELLED in text and actual.status != _OK:
            return
    else:
        result = expected.body["result"]
        tried.points += len(
            result.get("points") or result.get("groups") or result.get("hits") or ()
        )
    ask = Ask("POST", "", one.body, one.rule)
    different = difference(ask, expected, actual)
    if different is None or difference(ask, expected, _rounded(one, expected, actual)) is None:
        return
    if actual.status == _OK and await _is_free(both, world, one):
        tried.free += 1
    else:
        tried.differences.append(f"{world.main.name}: {different}: {one.path} {one.body!r}")


def _rounded(one: Drawn, expected: Answer, actual: Answer) -> Answer:
    """Return our answer with their scores where sums of large terms that cancel may differ as ours do."""
    cancels = any(word in str(one.body) for word in _CANCELLING)
    if not cancels or one.path != "points/query" or {expected.status, actual.status} != {_OK}:
        return actual
    theirs = {hit["id"]: hit["score"] for hit in expected.body["result"].get("points", ())}
    points = [
        hit | {"score": theirs[hit["id"]]}
        if abs(theirs.get(hit["id"], math.inf) - hit["score"]) <= _ROUNDING
        else hit
        for hit in actual.body["result"].get("points", ())
    ]
    return Answer(actual.status, {"result": {"points": points}})


@dataclass(frozen=True, slots=True)
class _Probe:
    """The whole list that a prefetch is the beginning of."""

    body: dict[str, Any]
    cuts: tuple[int, ...]
    threshold: float | None
    is_ranked: bool
    """Whether the places of all points count, not only which are in the list."""
    is_normalised: bool = False
    """Whether what counts is how far the scores lie apart: where that is little, rounding is magnified."""
    is_whole: bool = False
    """Whether the places behind the cut count, too."""


async def _is_free(both: Both, world: World, one: Drawn) -> bool:
    """Say whether the answer depends on which of two points with the same score comes first."""
    path = f"/collections/{world.main.name}/points/query"
    # Groups are asked for again and again, each time without those that are full: any place may be a cut.
    is_grouped = one.path == "points/query/groups"
    for probe in _probes(one, world):
        expected, _ = await both(Ask("POST", path, probe.body))
        if expected.status != _OK:
            continue
        scores = [hit["score"] for hit in expected.body["result"]["points"]]
        if _has_tie(replace(probe, is_whole=True) if is_grouped else probe, scores):
            return True
    return await _has_leap(both, world, one)


async def _has_leap(both: Both, world: World, one: Drawn) -> bool:
    """Say whether a point is as like to one example as to another, and its score depends on which it is more like."""
    path = f"/collections/{world.main.name}/points/query"

    async def scores(search: dict[str, Any]) -> dict[Any, float]:
        found, _ = await both(Ask("POST", path, search))
        hits = found.body["result"]["points"] if found.status == _OK else ()
        return {hit["id"]: hit["score"] for hit in hits}

    for pair in rivals(one.body, below(_root(one, world), lambda whole: whole)):
        sides = [[await scores(search) for search in side] for side in (pair.one, pair.other)]
        is_distance = world.kinds[pair.using].distance in _DISTANCES
        if has_tie(*sides, is_distance=is_distance):
            return True
    return False


def _has_tie(probe: _Probe, scores: list[float]) -> bool:
    if probe.threshold is not None and any(agree(score, probe.threshold) for score in scores):
        return True
    kept = sorted(scores)[-max(probe.cuts) :] or [0.0]
    if probe.is_normalised and kept[-1] - kept[0] < _SPREAD * max(map(abs, kept)):
        return True
    # Whether more or less is better is not told here: one of the two ways is right.
    for best_first in (sorted(scores), sorted(scores, reverse=True)):
        ties = {at for at, pair in enumerate(pairwise(best_first), start=1) if agree(*pair)}
        if any(cut in ties for cut in probe.cuts):
            return True
        if ties and (probe.is_whole or (probe.is_ranked and min(ties) <= max(probe.cuts))):
            return True
    return False


def _probes(one: Drawn, world: World) -> Iterator[_Probe]:
    wrap = below(_root(one, world), lambda whole: whole)
    yield from _below(one.body, wrap)
    if one.path == "points/query/groups" or _diverse(one.body):
        yield _probe(one.body, wrap, is_ranked=True)


def _root(one: Drawn, world: World) -> dict[str, Any]:
    """Return what a request lets pass: all points but those that it names as examples."""
    own = {"has_id": sorted(_ids(one.body, world.ids), key=str)}
    return {"filter": {"must_not": [own]}}


def _below(node: dict[str, Any], wrap: Wrap) -> Iterator[_Probe]:
    inner = below(node, wrap)
    for branch in branches(node):
        if not _is_unique(branch):
            probe = _probe(branch, inner, is_ranked=_is_fusion(node, "rrf"))
            yield replace(probe, is_normalised=_is_fusion(node, "dbsf"))
        yield from _below(branch, inner)


def _probe(node: dict[str, Any], wrap: Wrap, *, is_ranked: bool) -> _Probe:
    whole = {key: value for key, value in node.items() if key in _NODE} | {"limit": ALL}
    cuts = [node.get("limit", 10)]
    if mmr := _diverse(node):
        cuts.append(mmr["candidates_limit"])
        whole["query"] = node["query"]["nearest"]
    threshold = whole.pop("score_threshold", None)
    return _Probe(wrap(whole), tuple(cuts), threshold, is_ranked)


_NODE = (
    *("prefetch", "query", "using", "filter", "params"),
    *("lookup_from", "score_threshold"),
)


def _is_fusion(node: dict[str, Any], kind: str) -> bool:
    query = node.get("query")
    return isinstance(query, dict) and (query.get("fusion") == kind or kind in query)


def _diverse(node: dict[str, Any]) -> Any:
    query = node.get("query")
    return query.get("mmr") if isinstance(query, dict) else None


def _is_unique(node: dict[str, Any]) -> bool:
    """Say whether the places are sure although all scores are 1: in the order of ids or of a field of unique values."""
    match node.get("query"):
        case None:
            return True
        case {"order_by": {"key": key}} | {"order_by": str(key)}:
            return key in UNIQUE_FIELDS
        case _:
            return False


def _ids(body: Any, known: Sequence[Any]) -> set[Any]:
    """Return the ids that a query names as examples, which it does not answer."""
    match body:
        case {"lookup_from": {"collection": _}, **rest}:
            return _ids(rest.get("prefetch"), known)
        case dict():
            parts = (body.get(key) for key in _EXAMPLES)
            return {found for part in parts for found in _ids(part, known)}
        case list():
            is_vector = any(isinstance(part, float) for part in body)
            return set() if is_vector else {found for part in body for found in _ids(part, known)}
        case _:
            return {body} if isinstance(body, int | str) and body in known else set()


_EXAMPLES = (
    *("prefetch", "query", "nearest", "recommend", "positive", "negative", "discover", "target"),
    *("context", "relevance_feedback", "feedback", "example"),
)
