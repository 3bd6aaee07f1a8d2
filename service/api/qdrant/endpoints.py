"""What an endpoint of the API is: its method and path, who answers it, and what its request looks like."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from starlette.responses import Response

from service.api.qdrant.requests import ApiRequest

Type: TypeAlias = object
"""A type as annotations write it, ``None`` for nothing."""
Handler: TypeAlias = Callable[[ApiRequest], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of Qdrant's API.

    ``path`` has its variable segments in braces. ``operation`` is Qdrant's name for it, ``body`` what a request's body
    stands for, ``result`` the type of what is answered, and ``parameters`` the query parameters that it knows.
    """

    method: str
    path: str
    handle: Handler
    operation: str
    tag: str
    body: Type = None
    result: Type = None
    parameters: frozenset[str] = frozenset()


@dataclass(slots=True)
class Endpoints:
    """The endpoints of one part of the API, registered by decorating their handlers."""

    tag: str
    prefix: str = ""
    all: list[Endpoint] = field(default_factory=list)

    def add(  # noqa: PLR0913 - what the document says of an operation
        self,
        method: str,
        suffix: str,
        operation: str,
        handle: Handler,
        *,
        body: Type = None,
        result: Type = None,
        parameters: frozenset[str] = frozenset(),
    ) -> None:
        """Register an endpoint below the prefix."""
        path = self.prefix + suffix
        self.all.append(
            Endpoint(method, path, handle, operation, self.tag, body, result, parameters)
        )

    def on(
        self,
        route: str,
        operation: str,
        *,
        body: Type = None,
        result: Type = None,
        parameters: frozenset[str] = frozenset(),
    ) -> Callable[[Handler], Handler]:
        """Register the decorated handler for a route, written ``"POST /scroll"``."""
        method, _, suffix = route.partition(" ")

        def register(handle: Handler) -> Handler:
            self.add(
                method, suffix, operation, handle, body=body, result=result, parameters=parameters
            )
            return handle

        return register
