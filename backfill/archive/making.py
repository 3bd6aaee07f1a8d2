"""The collection that an import writes to: made from the manifest, or held against it."""

from collections.abc import Sequence

from backfill.archive.destination import Into
from backfill.archive.landing import Landed, Landing
from backfill.archive.layout import difference, layout_of
from backfill.archive.manifest import Manifest, Subject
from service.errors import ArchiveError
from service.model.operations import CreateIndex
from service.model.qdrant import ChangeAliasesOperation


async def make(into: Into, archived: Manifest, landing: Landing, landed: Landed) -> Landed:
    """Make the collection with its payload indexes if it is not there; say in the state, first, that it is ours.

    Raises ``ArchiveError`` naming the field in which one that is there differs from the export.
    """
    name, subject = into.destination.collection, archived.subject
    await _refuse_alias(into, name)
    found = await into.describe()
    if found is None:
        # One that was dropped since an earlier run has none of what that run wrote.
        landed = Landed(landed.archive, made=True)
        landing.save(landed)
        await into.store.create_collection(name, subject.configuration)
    else:
        _check_same(name, archived, found)
    if landed.made:
        # Before the points: Qdrant builds its graphs with the indexes that it knows of.
        for field, schema in subject.payload_schema.items():
            await into.store.apply(name, CreateIndex(field, schema), wait=True)
    return landed


async def check_aliases(into: Into, aliases: Sequence[str]) -> None:
    """Raise ``ArchiveError`` when one of the aliases stands for another collection, or is the name of one."""
    held, name = await into.store.aliases(), into.destination.collection
    for alias in aliases:
        if held.get(alias, name) != name:
            message = (
                f"the alias `{alias}` stands for `{held[alias]}` there; import without --aliases"
            )
            raise ArchiveError(message)


async def make_aliases(into: Into, aliases: Sequence[str]) -> None:
    """Let the aliases stand for the collection."""
    held = await into.store.aliases()
    missing = [alias for alias in aliases if alias not in held]
    actions = [
        {"create_alias": {"collection_name": into.destination.collection, "alias_name": alias}}
        for alias in missing
    ]
    if actions:
        change = ChangeAliasesOperation.model_validate({"actions": actions})
        await into.store.change_aliases(change.actions)


def left_alone(subject: Subject, found: Subject | None, *, aliases: bool) -> list[str]:
    """Return what of the export an import does not carry over, one line for people each."""
    notes = []
    if found is not None:
        missing = sorted(subject.payload_schema.keys() - found.payload_schema.keys())
        notes.append(
            "the collection was there: its parameters and payload indexes stay as they are"
        )
        if missing:
            notes.append(f"payload indexes of the export that it lacks: {', '.join(missing)}")
    if subject.aliases and not aliases:
        notes.append(f"aliases not made (--aliases makes them): {', '.join(subject.aliases)}")
    return notes


async def _refuse_alias(into: Into, name: str) -> None:
    stands_for = (await into.store.aliases()).get(name)
    if stands_for is not None:
        message = (
            f"`{name}` is an alias of `{stands_for}` there: name the collection with --collection"
        )
        raise ArchiveError(message)


def _check_same(name: str, archived: Manifest, found: Subject) -> None:
    reason = difference(archived.layout, layout_of(found.configuration))
    if reason is not None:
        message = f"`{name}` is there and does not fit the export: {reason}"
        raise ArchiveError(message)
