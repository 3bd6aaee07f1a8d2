"""What Qdrant's list of alias actions does to the aliases there are: pure, for every store that keeps some."""

from collections.abc import Container, Mapping, Sequence
from typing import assert_never

from service.errors import AliasNotFound, CollectionExists, CollectionNotFound, WrongInput
from service.model.qdrant import (
    AliasOperations,
    CreateAliasOperation,
    DeleteAliasOperation,
    RenameAliasOperation,
)


def changed_aliases(
    aliases: Mapping[str, str], actions: Sequence[AliasOperations], collections: Container[str]
) -> dict[str, str]:
    """Return from alias to collection after the actions, which run in order.

    An alias for an alias is an alias for nothing: only names in ``collections`` count. Raises ``CollectionNotFound``
    for an alias of an unknown collection, ``CollectionExists`` for one named like a collection, and ``AliasNotFound``
    for an unknown one that is to be renamed. Deleting an unknown one is fine.
    """
    changed = dict(aliases)
    for action in actions:
        match action:
            case CreateAliasOperation(create_alias=made):
                if made.collection_name not in collections:
                    raise CollectionNotFound(made.collection_name)
                if made.alias_name in collections:
                    raise CollectionExists(made.alias_name)
                changed[made.alias_name] = made.collection_name
            case DeleteAliasOperation(delete_alias=dropped):
                changed.pop(dropped.alias_name, None)
            case RenameAliasOperation(rename_alias=renamed):
                if renamed.old_alias_name not in changed:
                    raise AliasNotFound(renamed.old_alias_name)
                changed[renamed.new_alias_name] = changed.pop(renamed.old_alias_name)
            case _:
                assert_never(action)
    return changed


def refuse_alias_name(name: str, aliases: Container[str]) -> None:
    """Raise ``WrongInput`` when a collection is to be created under the name of an alias."""
    if name in aliases:
        raise WrongInput(
            f"Can't create collection with name {name}. Alias with the same name already exists"
        )
