"""Finding the endpoint of a request by one walk along the segments of its path.

Qdrant's own router compares method and path together: a path with another method is as unknown as any other path.
Doubled slashes and slashes at the end do not count.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from service.api.qdrant.endpoints import Endpoint


@dataclass(slots=True)
class _Node:
    """What can follow a part of a path."""

    endpoints: dict[str, tuple[Endpoint, tuple[str, ...]]] = field(default_factory=dict)
    literal: "dict[str, _Node]" = field(default_factory=dict)
    variable: "_Node | None" = None


class Routes:
    """A set of endpoints, by method and path."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._root = _Node()
        for endpoint in endpoints:
            self._add(endpoint)

    def find(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
        """Return the endpoint and what its variable segments stand for; ``path`` is percent-encoded.

        A literal segment goes before a variable one, if the rest of the path fits it too.
        """
        segments = [segment for segment in path.split("/") if segment]
        found = _find(self._root, method, segments, 0, ())
        if found is None:
            return None
        (endpoint, names), values = found
        return endpoint, dict(zip(names, values, strict=True))

    def _add(self, endpoint: Endpoint) -> None:
        node, names = self._root, []
        for segment in endpoint.path.split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.variable = node = node.variable or _Node()
            elif segment:
                node = node.literal.setdefault(segment, _Node())
        node.endpoints[endpoint.method] = (endpoint, tuple(names))


def _find(
    node: _Node, method: str, segments: Sequence[str], at: int, values: tuple[str, ...]
) -> tuple[tuple[Endpoint, tuple[str, ...]], tuple[str, ...]] | None:
    if at == len(segments):
        ending = node.endpoints.get(method)
        return None if ending is None else (ending, values)
    segment = segments[at]
    literal = node.literal.get(segment)
    if literal is not None:
        found = _find(literal, method, segments, at + 1, values)
        if found is not None:
            return found
    if node.variable is None:
        return None
    value = unquote(segment) if "%" in segment else segment
    return _find(node.variable, method, segments, at + 1, (*values, value))
