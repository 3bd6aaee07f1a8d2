"""Frames between the front and an engine process: a length, then one pickled value.

Both ends are ours and talk over a socket pair that nobody else holds, which is what makes pickle fit here.
"""

import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Any

from service.errors import VecferryError

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Request:
    """A numbered call."""

    number: int
    call: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """One of our errors in transit; exceptions with constructors of their own do not survive pickling."""

    kind: type[VecferryError]
    arguments: tuple[Any, ...]
    attributes: dict[str, Any]

    @classmethod
    def of(cls, error: VecferryError) -> "Failure":
        """Pack an error."""
        return cls(type(error), error.args, dict(vars(error)))

    def rebuild(self) -> VecferryError:
        """Return an equal error without running its constructor again."""
        error = self.kind.__new__(self.kind, *self.arguments)
        vars(error).update(self.attributes)
        return error


@dataclass(frozen=True, slots=True)
class Reply:
    """The value or failure of the call with this number."""

    number: int
    value: Any


def pack(value: Request | Reply) -> bytes:
    """Return the frame of one value."""
    body = pickle.dumps(value, protocol=5)
    return _LENGTH.pack(len(body)) + body


def receive(connection: socket.socket) -> Any | None:
    """Block until one whole value is here; ``None`` when the other end has gone."""
    header = _exactly(connection, _LENGTH.size)
    if header is None:
        return None
    body = _exactly(connection, _LENGTH.unpack(header)[0])
    return None if body is None else pickle.loads(body)  # noqa: S301 - our own process


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    received = bytearray()
    while len(received) < count:
        piece = connection.recv(min(count - len(received), 1 << 20))
        if not piece:
            return None
        received += piece
    return bytes(received)


class Unpacker:
    """Cuts a byte stream into values."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Return the values completed by these bytes."""
        self._buffer += data
        values = []
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            values.append(pickle.loads(self._buffer[_LENGTH.size : end]))  # noqa: S301 - our own process
            del self._buffer[:end]
        return values
