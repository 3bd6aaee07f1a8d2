"""``vecferry import``: exported collections back into a store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backfill.archive.side import Side
from service.cli.alone import finish, one_by_one, prepared
from service.cli.counting import counted
from service.config import Settings
from service.errors import ArchiveError

if TYPE_CHECKING:
    from backfill.archive.importing import Imported, ImportOptions

_SHOWN = 10


def import_(  # noqa: PLR0913, PLR0917 - the command's options
    directory: Annotated[
        Path, typer.Argument(help="An exported collection, or a directory of several.")
    ],
    side: Annotated[
        Side,
        typer.Option("--into", help="proxy (through vecferry, mirrored), source or target."),
    ] = Side.PROXY,
    collection: Annotated[
        str | None, typer.Option(help="Import under this name; for one collection.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The store's address, where it is not the settings' one.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every point back and compare it.")
    ] = False,
    aliases: Annotated[
        bool, typer.Option("--aliases", help="Make the exported aliases, at the end.")
    ] = False,
    state: Annotated[
        Path | None, typer.Option(help="Where the progress is kept; default: beside the manifest.")
    ] = None,
) -> None:
    """Check an export, make its collections and write their points; goes on where an earlier run ended."""
    settings = prepared()
    from backfill.archive.importing import ImportOptions  # noqa: PLC0415 - it loads the Parquet library

    found = _exports(directory)
    if collection is not None and len(found) > 1:
        message = f"--collection is for one export; {directory} has {len(found)}"
        raise ArchiveError(message)
    options = ImportOptions(verify=verify, aliases=aliases)
    finish(_import(settings, found, side, url, collection, state, options))


def _exports(directory: Path) -> list[Path]:
    from backfill.archive.manifest import NAME  # noqa: PLC0415 - see above

    if (directory / NAME).exists():
        return [directory]
    found = sorted(path.parent for path in directory.glob(f"*/{NAME}"))
    if not found:
        message = (
            f"there is no export in {directory}: neither it nor a directory in it has a {NAME}"
        )
        raise ArchiveError(message)
    return found


async def _import(  # noqa: PLR0913, PLR0917 - the command's options
    settings: Settings,
    exports: Sequence[Path],
    side: Side,
    url: str | None,
    collection: str | None,
    state: Path | None,
    options: "ImportOptions",
) -> bool:
    from backfill.archive.checking import load_complete  # noqa: PLC0415 - see above
    from backfill.archive.importing import Import  # noqa: PLC0415
    from service import archiving  # noqa: PLC0415

    async with archiving.opened(settings, side, url=url, writes=True) as store:

        async def one(directory: Path) -> bool:
            name = collection or load_complete(directory).subject.name
            importing = Import(store.into(name), options)
            with counted(name, "points") as show:
                imported = await importing.run(directory, state or directory, show)
            _report(name, imported)
            return imported.is_clean

        return await one_by_one(exports, one, str)


def _report(name: str, imported: "Imported") -> None:
    compared = "" if imported.mismatches is None else ", every one read back and compared"
    typer.echo(
        f"{name}: {imported.written:,} of {imported.rows:,} points written{compared};"
        f" the collection has {imported.counted:,} now"
    )
    for note in imported.notes:
        typer.echo(f"{name}: {note}", err=True)
    for problem in _problems(imported):
        typer.secho(f"{name}: {problem}", fg="red", err=True)


def _problems(imported: "Imported") -> list[str]:
    problems = []
    if imported.refused:
        count = len(imported.refused)
        problems.append(f"{count:,} point(s) were refused, all of them in {imported.refusals}:")
        problems += [f"  {each.id}: {each.reason}" for each in imported.refused[:_SHOWN]]
    if imported.mismatches:
        problems.append(f"{len(imported.mismatches):,} point(s) differ from the export:")
        problems += [
            f"  {each.id}: {', '.join(each.kinds)}" for each in imported.mismatches[:_SHOWN]
        ]
    if imported.count_differs:
        problems.append(
            f"the collection has {imported.counted:,} points, {imported.written:,} were written"
        )
    return problems
