"""The kinds of writes to points and where they are sent to."""

from enum import StrEnum


class WriteKind(StrEnum):
    """An update operation, by its name in a batch."""

    UPSERT = "upsert"
    DELETE = "delete"
    UPDATE_VECTORS = "update_vectors"
    DELETE_VECTORS = "delete_vectors"
    SET_PAYLOAD = "set_payload"
    OVERWRITE_PAYLOAD = "overwrite_payload"
    DELETE_PAYLOAD = "delete_payload"
    CLEAR_PAYLOAD = "clear_payload"


WRITE_ROUTES: dict[tuple[str, str], WriteKind] = {
    ("PUT", ""): WriteKind.UPSERT,
    ("POST", "/delete"): WriteKind.DELETE,
    ("PUT", "/vectors"): WriteKind.UPDATE_VECTORS,
    ("POST", "/vectors/delete"): WriteKind.DELETE_VECTORS,
    ("POST", "/payload"): WriteKind.SET_PAYLOAD,
    ("PUT", "/payload"): WriteKind.OVERWRITE_PAYLOAD,
    ("POST", "/payload/delete"): WriteKind.DELETE_PAYLOAD,
    ("POST", "/payload/clear"): WriteKind.CLEAR_PAYLOAD,
}
"""Method and path below ``/collections/{name}/points``."""

BATCH_ROUTE = ("POST", "/batch")
"""A list of operations, each an object with one key: its kind."""

OPERATIONS: dict[WriteKind, str] = {
    WriteKind.UPSERT: "upsert_points",
    WriteKind.DELETE: "delete_points",
    WriteKind.UPDATE_VECTORS: "update_vectors",
    WriteKind.DELETE_VECTORS: "delete_vectors",
    WriteKind.SET_PAYLOAD: "set_payload",
    WriteKind.OVERWRITE_PAYLOAD: "overwrite_payload",
    WriteKind.DELETE_PAYLOAD: "delete_payload",
    WriteKind.CLEAR_PAYLOAD: "clear_payload",
}
"""Qdrant's names for the operations on one kind."""
