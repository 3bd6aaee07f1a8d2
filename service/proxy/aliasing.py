"""Which collections a list of alias actions is about, and so which store carries it out: pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from service.control.state import View
from service.errors import CollectionExists, Unsupported
from service.stages import Side

_PATH = "actions"
_NAMES = ("collection_name", "alias_name", "old_alias_name", "new_alias_name")


@dataclass(frozen=True, slots=True)
class AliasChange:
    """What a body says, as far as it can be read: what cannot is left to the store to refuse."""

    actions: tuple[tuple[str, Mapping[str, str]], ...]

    @property
    def names(self) -> set[str]:
        """Every name of a collection or an alias in it."""
        return {parts[key] for _, parts in self.actions for key in _NAMES if key in parts}

    @property
    def made(self) -> list[str]:
        """The names that become aliases."""
        keys = {"create_alias": "alias_name", "rename_alias": "new_alias_name"}
        return [parts[keys[kind]] for kind, parts in self.actions if keys.get(kind, "") in parts]

    def collections(self, aliases: Mapping[str, str]) -> set[str]:
        """Return the collections that get or may lose an alias; ``aliases`` are those in force."""
        named = {
            parts["collection_name"] for _, parts in self.actions if "collection_name" in parts
        }
        return named | {aliases[name] for name in self.names if name in aliases}


def parse_change(body: bytes) -> AliasChange:
    """Read the actions of a body."""
    try:
        actions: Any = orjson.loads(body)["actions"]
        found = [(kind, parts) for action in actions for kind, parts in action.items()]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return AliasChange(())
    return AliasChange(
        tuple(
            (kind, {key: name for key, name in parts.items() if isinstance(name, str)})
            for kind, parts in found
            if isinstance(parts, dict)
        )
    )


def side_of(change: AliasChange, view: View) -> Side:
    """Return the store that is right for all the collections. Raises ``Unsupported`` when there is none."""
    collections = change.collections(view.aliases)
    by_side: dict[Side, list[str]] = {}
    for name in sorted(collections):
        by_side.setdefault(view.state(name).authority, []).append(name)
    match list(by_side):
        case []:
            return view.state("").authority
        case [side]:
            return side
        case _:
            here, there = (", ".join(f"`{name}`" for name in by_side[side]) for side in Side)
            raise Unsupported(
                _PATH,
                f"name collections that Qdrant answers ({here}) and collections that Postgres answers ({there}):"
                " no transaction spans both; send one request for each, or bring them to the same side first",
            )


def refuse_taken(names: Iterable[str], view: View, side: Side, elsewhere: Iterable[str]) -> None:
    """Raise ``CollectionExists`` for an alias named like a collection that the carrying store may not know.

    ``elsewhere`` are the collections of the other store.
    """
    taken = {name for name in elsewhere if view.state(name).authority is side.other}
    for name in names:
        if name in taken:
            raise CollectionExists(name)
