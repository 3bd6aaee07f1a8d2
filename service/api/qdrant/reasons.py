"""One reason out of the many that pydantic gives when a union does not match."""

from pydantic import ValidationError

from service.api.qdrant.paths import Path


def one_reason(error: ValidationError, value: object) -> tuple[Path, str]:
    """Reduce a validation error to the path it is most specific about and what belongs there."""
    found: dict[Path, list[str]] = {}
    guesses: dict[Path, list[str]] = {}
    for detail in error.errors(include_url=False):
        path = _real_path(detail["loc"], value)
        match detail["type"]:
            # What the other members of a union complain about, if there are any.
            case "missing":
                guesses.setdefault((*path, detail["loc"][-1]), []).append(detail["msg"])
            case "extra_forbidden":
                guesses.setdefault(path, []).append(detail["msg"])
            case _:
                found.setdefault(path, []).append(detail["msg"])
    by_path = found or guesses
    path = max(by_path, key=len)
    expected = dict.fromkeys(message.removeprefix("Input should be ") for message in by_path[path])
    reason = " or ".join(expected)
    if found and len(expected) > 1:
        reason = f"expected {reason}"
    elif found:
        reason = by_path[path][0]
    return path, reason


def _real_path(location: Path, value: object) -> Path:
    """Drop the names of union members from a pydantic location: keep what indexes the value."""
    path: list[str | int] = []
    for step in location:
        match value:
            case dict() if step in value:
                value = value[step]
                path.append(step)
            case list() if isinstance(step, int) and step < len(value):
                value = value[step]
                path.append(step)
            case _:
                pass
    return tuple(path)
