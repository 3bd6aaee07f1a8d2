"""What the front can ask of an engine process; each call carries its arguments and knows how to run there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from service.model.operations import Operation, UpdateResult
from service.model.points import FacetHit, Hit, Page, Record
from service.model.qdrant import (
    CollectionInfo,
    CountRequest,
    CreateCollection,
    FacetRequest,
    PointRequest,
    ScrollRequest,
    StrictModeConfig,
    UpdateCollection,
)
from service.model.queries import ResolvedQuery
from service.stores.edge.strict import Description

if TYPE_CHECKING:
    from service.stores.edge.engine import Engine

T_co = TypeVar("T_co", covariant=True)


class Call(Protocol[T_co]):
    """Something that runs in the engine process and has one answer."""

    def run(self, engine: "Engine") -> T_co:
        """Run; raises our errors."""
        ...


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the collections of this process."""

    def run(self, engine: "Engine") -> list[str]:
        """Run; also the sign that the process has opened all its collections."""
        return engine.names()


@dataclass(frozen=True, slots=True)
class Has:
    """Whether there is a collection."""

    name: str

    def run(self, engine: "Engine") -> bool:
        """Run."""
        return self.name in engine.names()


@dataclass(frozen=True, slots=True)
class Create:
    """A new collection."""

    name: str
    request: CreateCollection

    def run(self, engine: "Engine") -> bool:
        """Run; raises ``CollectionExists``."""
        engine.create(self.name, self.request)
        return True


@dataclass(frozen=True, slots=True)
class Update:
    """Other parameters for a collection."""

    name: str
    request: UpdateCollection

    def run(self, engine: "Engine") -> bool:
        """Run."""
        engine.collection(self.name).update(self.request)
        return True


@dataclass(frozen=True, slots=True)
class Drop:
    """The end of a collection."""

    name: str

    def run(self, engine: "Engine") -> bool:
        """Run; false when it was not there."""
        return engine.drop(self.name)


@dataclass(frozen=True, slots=True)
class Info:
    """Status and configuration."""

    name: str

    def run(self, engine: "Engine") -> CollectionInfo:
        """Run."""
        return engine.collection(self.name).info()


@dataclass(frozen=True, slots=True)
class Describe:
    """What the collection is."""

    name: str

    def run(self, engine: "Engine") -> Description:
        """Run."""
        return engine.collection(self.name).description()


@dataclass(frozen=True, slots=True)
class Strict:
    """The collections of this process that have limits of their own."""

    def run(self, engine: "Engine") -> list[tuple[str, StrictModeConfig]]:
        """Run."""
        return engine.strict()


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Points by id."""

    name: str
    request: PointRequest

    def run(self, engine: "Engine") -> list[Record]:
        """Run."""
        return engine.collection(self.name).retrieve(self.request)


@dataclass(frozen=True, slots=True)
class Scroll:
    """A page of points."""

    name: str
    request: ScrollRequest

    def run(self, engine: "Engine") -> Page:
        """Run."""
        return engine.collection(self.name).scroll(self.request)


@dataclass(frozen=True, slots=True)
class Count:
    """The number of points."""

    name: str
    request: CountRequest

    def run(self, engine: "Engine") -> int:
        """Run."""
        return engine.collection(self.name).count(self.request)


@dataclass(frozen=True, slots=True)
class Query:
    """The best points."""

    name: str
    query: ResolvedQuery

    def run(self, engine: "Engine") -> list[Hit]:
        """Run."""
        return engine.collection(self.name).query(self.query)


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of a field with their counts."""

    name: str
    request: FacetRequest

    def run(self, engine: "Engine") -> list[FacetHit]:
        """Run."""
        return engine.collection(self.name).facet(self.request)


@dataclass(frozen=True, slots=True)
class Apply:
    """One change."""

    name: str
    operation: Operation
    wait: bool

    def run(self, engine: "Engine") -> UpdateResult:
        """Run."""
        return engine.collection(self.name).apply(self.operation, wait=self.wait)
