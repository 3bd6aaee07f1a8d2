"""How large a filter is, as strict mode counts it, and the error that strict mode answers."""

from service.errors import BadRequest
from service.model.qdrant import (
    Condition,
    FieldCondition,
    Filter,
    HasIdCondition,
    MatchAny,
    MatchExcept,
    MatchSubstring,
    NestedCondition,
    StrictModeConfig,
)
from service.queries.strict.indexes import conditions_of


def strict_error(problem: str, advice: str) -> BadRequest:
    """Return the error for what strict mode forbids."""
    return BadRequest(f"{problem}. Help: {advice}")


def check_filter_size(limits: StrictModeConfig, wanted: Filter) -> None:
    """Raise ``BadRequest`` for a filter with too many or too large conditions, or one that no index serves."""
    key = _substring_key(wanted)
    if key is not None:
        problem = (
            f'Substring matching is not allowed, used for "{key}": '
            "it scans every value of the field, with or without an index"
        )
        raise strict_error(problem, "Use a prefix match or a full-text match instead.")
    count, most = conditions_count(wanted), limits.filter_max_conditions
    if most is not None and count > most:
        problem = f"Filter condition limit reached ({count} > {most})"
        raise strict_error(problem, "Reduce the amount of conditions of your filter.")
    size, largest = _largest(wanted), limits.condition_max_size
    if largest is not None and size > largest:
        problem = f"Condition size limit reached ({size} > {largest})"
        raise strict_error(problem, "Reduce the size of your condition.")


def conditions_count(wanted: Filter) -> int:
    """Return the number of conditions at all depths."""
    return sum(map(_count, conditions_of(wanted)))


def _count(condition: Condition) -> int:
    match condition:
        case Filter():
            return conditions_count(condition)
        case NestedCondition(nested=nested):
            return conditions_count(nested.filter)
        case _:
            return 1


def _largest(wanted: Filter) -> int:
    return max(map(_size, conditions_of(wanted)), default=0)


def _size(condition: Condition) -> int:
    """Return the number of values that a condition compares with."""
    match condition:
        case Filter():
            return _largest(condition)
        case NestedCondition(nested=nested):
            return _largest(nested.filter)
        case HasIdCondition(has_id=ids):
            return len(ids)
        case FieldCondition(match=MatchAny(any=values) | MatchExcept(except_=values)):
            return len(values)
        case _:
            return 0


def _substring_key(wanted: Filter) -> str | None:
    for condition in conditions_of(wanted):
        match condition:
            case FieldCondition(match=MatchSubstring()):
                return condition.key
            case Filter() as inner:
                key = _substring_key(inner)
            case NestedCondition(nested=nested):
                key = _substring_key(nested.filter)
            case _:
                continue
        if key is not None:
            return key
    return None
