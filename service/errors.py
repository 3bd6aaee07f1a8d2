"""The exception tree, by whose fault it is.

VecferryError
├── RequestError             the caller's: answered with ``status`` and Qdrant's own text
│   ├── WrongInput           400  "Wrong input: …"
│   ├── BadRequest           400  "Bad request: …"
│   ├── MalformedBody        400  "Format error in JSON body: …"
│   ├── InvalidBody          422  "Validation error in JSON body: [field: reason]"
│   ├── BodyTooLarge         413
│   ├── CollectionNotFound   404
│   ├── CollectionExists     409
│   ├── PointNotFound        404
│   ├── AliasNotFound        404
│   ├── StandaloneMode       405  a call that only a cluster has
│   ├── TimedOut             408  the request's own ``timeout`` has passed
│   ├── RateLimited          429  strict mode's limit of operations per minute, with Retry-After
│   └── Unsupported          501  names the path in the request
├── StoreError               a store's: answered 503 with Retry-After, and with ``public`` instead of its details
│   ├── SourceUnavailable    Qdrant cannot be reached or does not answer
│   ├── TargetUnavailable    Postgres cannot be reached or does not answer
│   ├── TargetRefused        Postgres cannot hold what it was given
│   └── StoreAnswered        a store answered with an error of its own (status and body are passed on)
├── StaleEpoch               the stage changed under a request; refused before anything was written, retried by us
├── Overloaded               a bound was reached; answered 503 with Retry-After
├── StageError               the operator's: a stage change that is not possible now; 409 on the control API
├── ArchiveError             the operator's: an exported archive is damaged, does not fit, or cannot be written
└── ConfigurationError       the operator's: a setting is missing or wrong; one line, exit 2
"""

from enum import StrEnum
from http import HTTPStatus


class Refusal(StrEnum):
    """Why a request was answered 503: the client may send it again."""

    REQUESTS = "requests"
    """Too many are being answered."""
    BODIES = "bodies"
    """Too many bytes of request bodies are held."""
    FREEZE_QUEUE = "freeze_queue"
    """Too many writes wait for a stage change."""
    FREEZE_DEADLINE = "freeze_deadline"
    """The stage change took longer than a write may wait."""
    COLLECTION_CHANGING = "collection_changing"
    """The collection is being made or dropped by another request."""
    STAGE_CHANGED = "stage_changed"
    """The stage changed under the request."""
    INTENTS = "intents"
    """Too many writes wait for their intent."""
    DETACHED = "detached"
    """This instance has no Postgres, and the request needs it."""
    SOURCE = "source"
    """Qdrant did not answer."""
    TARGET = "target"
    """Postgres did not answer."""
    OTHER = "other"


class VecferryError(Exception):
    """Base of everything we raise on purpose."""


class RequestError(VecferryError):
    """The caller's mistake. ``str(error)`` is the text Qdrant would answer with."""

    status = HTTPStatus.BAD_REQUEST


class WrongInput(RequestError):
    """A well-formed request that does not fit the collection."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Wrong input: {reason}")


class BadRequest(RequestError):
    """A request that contradicts itself."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Bad request: {reason}")


class MalformedBody(RequestError):
    """A body (or another ``place`` of a request) that is not JSON or not of the right type."""

    def __init__(self, reason: str, *, place: str = "JSON body") -> None:
        what = "Format" if place == "JSON body" else "Deserialize"
        super().__init__(f"{what} error in {place}: {reason}")


class InvalidBody(RequestError):
    """A value outside its allowed range; ``field`` is its path, as Qdrant writes it (``internal.limit``)."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, field: str, reason: str, *, place: str = "JSON body") -> None:
        super().__init__(f"Validation error in {place}: [{field}: {reason}]")


class BodyTooLarge(RequestError):
    """A body of more than ``limit`` bytes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"Payload error: the body is larger than the limit of {limit} bytes")


class CollectionNotFound(RequestError):
    """No collection has this name."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, collection: str) -> None:
        super().__init__(f"Not found: Collection `{collection}` doesn't exist!")


class CollectionExists(RequestError):
    """A collection of this name is there already."""

    status = HTTPStatus.CONFLICT

    def __init__(self, collection: str) -> None:
        super().__init__(f"Wrong input: Collection `{collection}` already exists!")


class PointNotFound(RequestError):
    """A point that the request names is not there; the text differs by request."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, reason: str) -> None:
        super().__init__(f"Not found: {reason}")


class AliasNotFound(RequestError):
    """No alias has this name."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, alias: str) -> None:
        super().__init__(f"Not found: Alias {alias} does not exists!")


class StandaloneMode(RequestError):
    """A call that only a cluster has."""

    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self) -> None:
        super().__init__("Qdrant is running in standalone mode")


class TimedOut(RequestError):
    """The store did not answer within the ``timeout`` that the request names."""

    status = HTTPStatus.REQUEST_TIMEOUT

    def __init__(self, operation: str, seconds: int) -> None:
        after = f"Operation '{operation}' timed out after {seconds}s"
        super().__init__(f"Timeout: Timeout error: {after}")


class RateLimited(RequestError):
    """Strict mode allows no more operations now; ``retry_after`` is in seconds."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, reason: str, retry_after: float | None) -> None:
        super().__init__(f"Rate limiting exceeded: {reason}")
        self.retry_after = retry_after


class Unsupported(RequestError):
    """Something that this store cannot answer exactly; ``path`` says where in the request it stands."""

    status = HTTPStatus.NOT_IMPLEMENTED

    def __init__(self, path: str, reason: str = "cannot be answered by this store yet") -> None:
        super().__init__(f"Not implemented: {path} {reason}")
        self.path = path


class StoreError(VecferryError):
    """A store failed us. ``str(error)`` is for operators; clients are told ``public``, which names no address."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    public = "Service unavailable: a store failed"
    refusal = Refusal.OTHER


class SourceUnavailable(StoreError):
    """Qdrant cannot be reached, dropped the connection or did not answer in time.

    ``may_have_applied`` is true when the request may have reached it: the outcome of a write is unknown then.
    """

    refusal = Refusal.SOURCE

    def __init__(
        self, reason: str, *, may_have_applied: bool = True, detail: object = None
    ) -> None:
        self.public = f"Service unavailable: the source (Qdrant) {reason}"
        super().__init__(self.public if detail is None else f"{self.public}: {detail}")
        self.may_have_applied = may_have_applied


class TargetUnavailable(StoreError):
    """Postgres cannot be reached, dropped the connection or did not answer in time."""

    refusal = Refusal.TARGET

    def __init__(self, reason: str, *, detail: object = None) -> None:
        self.public = f"Service unavailable: the target (Postgres) {reason}"
        super().__init__(self.public if detail is None else f"{self.public}: {detail}")


class TargetRefused(StoreError):
    """Postgres cannot hold what it was given, for a reason that no client's request names (size, a check, a bug)."""

    refusal = Refusal.TARGET


class StoreAnswered(StoreError):
    """A store answered with an error of its own; ``code`` and ``body`` are as they came."""

    def __init__(self, code: int, body: bytes) -> None:
        super().__init__(f"store answered {code}: {body[:200].decode('utf-8', 'replace')}")
        self.code = code
        self.body = body


class StaleEpoch(VecferryError):
    """The collection's stage changed, or is frozen for a change; nothing was written under the old one."""

    refusal = Refusal.STAGE_CHANGED


class Overloaded(VecferryError):
    """A queue or a deadline is exhausted; the client may retry."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, reason: str, refusal: Refusal = Refusal.OTHER) -> None:
        super().__init__(f"Service unavailable: {reason}")
        self.refusal = refusal


class StageError(VecferryError):
    """A stage change that the transition table or a gate forbids."""


class ArchiveError(VecferryError):
    """A file or directory of an export cannot be read, written, or used here; the text names it and says why."""


class ConfigurationError(VecferryError):
    """A setting is missing or wrong; the text names it."""
