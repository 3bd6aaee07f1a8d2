"""Whether two answers are equal, as far as Qdrant promises; pure.

A difference is returned as a sentence for people. Numbers agree within ``RELATIVE`` of the larger one and ``ABSOLUTE``:
both stores sum in float32, each in an order of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tests.parity.asks import Answer, Ask, Rule

RELATIVE = 1e-6
ABSOLUTE = 4e-6
"""For sums that cancel: a score near zero is the rest of terms that are not."""

_GROWING = ("version", "operation_id")
"""Numbers that only promise to grow: a store may count all its collections together."""

_TRANSIENT = ("status", "optimizer_status", "indexed_vectors_count", "segments_count", "warnings")
"""What a collection says of itself that depends on when it is asked, and on how a store is built."""


def difference(ask: Ask, expected: Answer, actual: Answer) -> str | None:
    """Return how the answers to a request differ, ``None`` when they do not."""
    rule = ask.rule
    if expected.status != actual.status:
        return (
            f"status {expected.status} {_text(expected)}, "
            f"but vecferry answers {actual.status} {_text(actual)}"
        )
    if rule is Rule.STATUS:
        return None
    if not isinstance(expected.body, dict) or not isinstance(actual.body, dict):
        return _values(expected.body, actual.body, "body")
    if "result" not in expected.body:
        return _values(_lasting(expected.body), _lasting(actual.body), "body")
    envelope = _values(
        {key: value for key, value in _lasting(expected.body).items() if key != "result"},
        {key: value for key, value in _lasting(actual.body).items() if key != "result"},
        "body",
    )
    results = expected.body["result"], actual.body.get("result")
    if rule in _BY and isinstance(ask.body, dict) and ask.body.get("offset"):
        expected_points, actual_points = map(_points, results)
        return envelope or _ranked(expected_points, actual_points, "result", _BY[rule], is_cut=True)
    return envelope or _RULES[rule](*results, "result")


def _text(answer: Answer) -> str:
    match answer.body:
        case {"status": {"error": text}}:
            return repr(text)
        case _:
            return ""


def _lasting(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the envelope without what differs from answer to answer."""
    return {key: value for key, value in body.items() if key != "time"}


def agree(one: float, other: float) -> bool:
    """Say whether two numbers are the same up to float32."""
    return abs(one - other) <= ABSOLUTE + RELATIVE * max(abs(one), abs(other))


def _values(expected: Any, actual: Any, path: str) -> str | None:
    match expected, actual:
        case dict(), dict():
            if expected.keys() != actual.keys():
                return f"{path} has {sorted(expected)}, not {sorted(actual)}"
            both = ((key, expected[key], actual[key]) for key in expected)
            pairs = (
                (one, other, f"{path}.{key}")
                for key, one, other in both
                if key not in _GROWING or type(one) is not type(other)
            )
        case list(), list():
            if len(expected) != len(actual):
                return f"{path} has {len(expected)} entries, not {len(actual)}"
            each = zip(expected, actual, strict=True)
            pairs = ((one, other, f"{path}[{at}]") for at, (one, other) in enumerate(each))
        case _:
            return None if _same(expected, actual) else f"{path} is {expected!r}, not {actual!r}"
    return next((found for pair in pairs if (found := _values(*pair))), None)


def _same(expected: Any, actual: Any) -> bool:
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, float) or isinstance(actual, float):
        is_number = isinstance(expected, int | float) and isinstance(actual, int | float)
        return is_number and agree(expected, actual)
    return type(expected) is type(actual) and bool(expected == actual)


def _points(result: Any) -> Any:
    """Return the list of points, wherever an endpoint keeps it."""
    return result["points"] if isinstance(result, dict) and "points" in result else result


def _is_batch(result: Any) -> bool:
    match _points(result):
        case [list(), *_]:
            return True
        case [{"points": list()}, *_]:
            return True
        case _:
            return False


def _each(
    one: Callable[[Any, Any, str], str | None],
) -> Callable[[Any, Any, str], str | None]:
    """Return the rule for one list, and for a batch of lists."""

    def rule(expected: Any, actual: Any, path: str) -> str | None:
        if not _is_batch(expected):
            return one(_points(expected), _points(actual), path)
        if len(expected) != len(actual):
            return f"{path} has {len(expected)} answers, not {len(actual)}"
        pairs = zip(expected, actual, strict=True)
        found = (
            one(_points(first), _points(second), f"{path}[{at}]")
            for at, (first, second) in enumerate(pairs)
        )
        return next(filter(None, found), None)

    return rule


def _ranked(
    expected: Any, actual: Any, path: str, by: str = "score", *, is_cut: bool = False
) -> str | None:
    """Compare ranked lists; ``is_cut`` says that an offset may have cut through a tie before the first."""
    found = _scores(expected, actual, path, by)
    if found:
        return found
    for start, end in _ties(expected, by):
        ours = {hit["id"]: hit for hit in actual[start:end]}
        theirs = {hit["id"]: hit for hit in expected[start:end]}
        is_whole = end < len(expected) and not (is_cut and start == 0)
        if is_whole and ours.keys() != theirs.keys():
            return f"{path}[{start}:{end}] holds {list(theirs)}, not {list(ours)}"
        for known in theirs.keys() & ours.keys():
            found = _values(theirs[known], ours[known], f"{path}[id {known}]")
            if found:
                return found
    twice = len(actual) - len({_key(hit) for hit in actual})
    return f"{path} names {twice} points twice" if twice else None


def _key(hit: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what tells hits apart: in the order of a field one point may stand for several values."""
    return hit["id"], repr(hit.get("order_value"))


def _ordered(expected: Any, actual: Any, path: str) -> str | None:
    return _ranked(expected, actual, path, "order_value")


def _scores(expected: Any, actual: Any, path: str, by: str = "score") -> str | None:
    if len(expected) != len(actual):
        ids = [hit["id"] for hit in expected], [hit["id"] for hit in actual]
        return f"{path} has {len(expected)} points, not {len(actual)}: {ids[0]}, not {ids[1]}"
    for at, (one, other) in enumerate(zip(expected, actual, strict=True)):
        if not agree(one[by], other[by]):
            return (
                f"{path}[{at}] is {one['id']} with {one[by]!r}, "
                f"not {other['id']} with {other[by]!r}"
            )
    return None


def _ties(hits: Sequence[Mapping[str, Any]], by: str) -> list[tuple[int, int]]:
    """Return the runs of hits that tie, as half-open ranges."""
    cuts = [
        at
        for at, (one, other) in enumerate(pairwise(hits), start=1)
        if not agree(one[by], other[by])
    ]
    return list(pairwise([0, *cuts, len(hits)])) if hits else []


def _set(expected: Any, actual: Any, path: str) -> str | None:
    theirs, ours = ({hit["id"]: hit for hit in hits} for hits in (expected, actual))
    if len(expected) != len(actual) or theirs.keys() != ours.keys():
        return f"{path} holds {list(theirs)}, not {list(ours)}"
    found = (_values(theirs[known], ours[known], f"{path}[id {known}]") for known in theirs)
    return next(filter(None, found), None)


def _size(expected: Any, actual: Any, path: str) -> str | None:
    return None if len(expected) == len(actual) else f"{path}: {len(expected)}, not {len(actual)}"


def _groups(expected: Any, actual: Any, path: str) -> str | None:
    theirs, ours = ({_group(one): one for one in result["groups"]} for result in (expected, actual))
    if list(map(len, (theirs, ours))) != [len(expected["groups"]), len(actual["groups"])]:
        return f"{path} names a group twice"
    best = [
        [{"id": 0, "score": group["hits"][0]["score"]} for group in result["groups"]]
        for result in (expected, actual)
    ]
    found = _scores(best[0], best[1], path)
    if found:
        return found
    for known in theirs.keys() & ours.keys():
        found = _ranked(theirs[known]["hits"], ours[known]["hits"], f"{path}[{known}]")
        found = found or _values(theirs[known].get("lookup"), ours[known].get("lookup"), path)
        if found:
            return found
    tied = [
        best[0][at]["score"]
        for at, group in enumerate(expected["groups"])
        if _group(group) not in ours
    ]
    lost = [score for score in tied if not agree(score, best[0][-1]["score"])]
    return f"{path} has the groups {list(theirs)}, not {list(ours)}" if lost else None


def _info(expected: Any, actual: Any, path: str) -> str | None:
    lasting = [
        {key: value for key, value in info.items() if key not in _TRANSIENT}
        for info in (expected, actual)
    ]
    return _values(lasting[0], lasting[1], path)


def _matrix(expected: Any, actual: Any, path: str) -> str | None:
    theirs, ours = _neighbours(expected), _neighbours(actual)
    if theirs.keys() != ours.keys() or expected.keys() != actual.keys():
        return f"{path} is about {list(theirs)}, not {list(ours)}"
    found = (_ranked(theirs[known], ours[known], f"{path}[{known}]") for known in theirs)
    return next(filter(None, found), None)


def _neighbours(matrix: Mapping[str, Any]) -> dict[Any, list[dict[str, Any]]]:
    """Return every point's neighbours, out of either shape."""
    if "pairs" in matrix:
        pairs = [(pair["a"], pair["b"], pair["score"]) for pair in matrix["pairs"]]
        points = []
    else:
        points = matrix["ids"]
        columns = zip(matrix["offsets_row"], matrix["offsets_col"], matrix["scores"], strict=True)
        pairs = [(points[row], points[column], score) for row, column, score in columns]
    found: dict[Any, list[dict[str, Any]]] = {known: [] for known in points}
    for one, other, score in pairs:
        found.setdefault(one, []).append({"id": other, "score": score})
    return found


def _group(group: Mapping[str, Any]) -> tuple[str, Any]:
    return type(group["id"]).__name__, group["id"]


_BY = {Rule.RANKED: "score", Rule.ORDERED: "order_value"}

_RULES: dict[Rule, Callable[[Any, Any, str], str | None]] = {
    Rule.EXACT: _values,
    Rule.RANKED: _each(_ranked),
    Rule.ORDERED: _each(_ordered),
    Rule.SET: _each(_set),
    Rule.SCORES: _each(_scores),
    Rule.SIZE: _each(_size),
    Rule.GROUPS: _groups,
    Rule.MATRIX: _matrix,
    Rule.INFO: _info,
}
