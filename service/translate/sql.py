"""Statements as values: literal text, identifiers and bound arguments, numbered only when rendered.

Rule: text that came from a client is always an :class:`Argument` or an :class:`Identifier`, never
literal text.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import LiteralString, TypeAlias


@dataclass(frozen=True, slots=True)
class Identifier:
    """A possibly qualified name, quoted when rendered."""

    parts: tuple[str, ...]

    def quoted(self) -> str:
        """Return the name as it stands in a statement."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in self.parts)


@dataclass(frozen=True, slots=True, eq=False)
class Argument:
    """A bound value; one object used twice is sent once."""

    value: object


class _Text(str):
    """Literal SQL."""

    __slots__ = ()


_Part: TypeAlias = "_Text | Identifier | Argument"


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of a statement; join pieces with :func:`sql`, send them with :meth:`render`."""

    parts: tuple[_Part, ...]

    def render(self) -> tuple[str, list[object]]:
        """Return the statement with ``$1, $2 …`` and the values for them."""
        numbers: dict[int, int] = {}
        values: list[object] = []
        text: list[str] = []
        for part in self.parts:
            match part:
                case _Text():
                    text.append(part)
                case Identifier():
                    text.append(part.quoted())
                case Argument(value):
                    if id(part) not in numbers:
                        values.append(value)
                        numbers[id(part)] = len(values)
                    text.append(f"${numbers[id(part)]}")
        return "".join(text), values


def sql(*pieces: "LiteralString | Sql | Identifier | Argument") -> Sql:
    """Concatenate pieces; a plain string is literal SQL."""
    parts: list[_Part] = []
    for piece in pieces:
        match piece:
            case str():
                parts.append(_Text(piece))
            case Sql():
                parts.extend(piece.parts)
            case _:
                parts.append(piece)
    return Sql(tuple(parts))


def join(separator: LiteralString, pieces: Iterable[Sql]) -> Sql:
    """Put literal text between pieces."""
    parts: list[_Part] = []
    for piece in pieces:
        if parts:
            parts.append(_Text(separator))
        parts.extend(piece.parts)
    return Sql(tuple(parts))


def number(value: int) -> Sql:
    """Return an integer as literal text, for statements that take no arguments (DDL)."""
    return Sql((_Text(str(int(value))),))


def literal(value: str) -> Sql:
    """Return a string as a quoted literal, where the text must be the same in every statement (indexed expressions)."""
    quoted = value.replace("'", "''").replace("\\", "\\\\")
    return Sql((_Text(f"E'{quoted}'"),))


TRUE = sql("true")
FALSE = sql("false")


def negate(condition: Sql) -> Sql:
    """Return the opposite of a condition that is never NULL (every condition made here is such)."""
    return sql("NOT (", condition, ")")
