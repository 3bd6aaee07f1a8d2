"""``vecferry export``: collections to directories of Parquet files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from backfill.archive.side import Side
from service.cli.alone import finish, one_by_one, prepared
from service.cli.counting import counted
from service.cli.stage import Pattern
from service.config import Settings

if TYPE_CHECKING:
    from backfill.archive.export import Exported, ExportOptions


def export(  # noqa: PLR0913, PLR0917 - the command's options
    pattern: Pattern,
    to: Annotated[Path, typer.Option(help="Directory; each collection gets one below it.")],
    side: Annotated[
        Side,
        typer.Option(
            "--from", help="proxy (the store that is right, through vecferry), source or target."
        ),
    ] = Side.PROXY,
    url: Annotated[
        str | None, typer.Option(help="Its address, where it is not the settings' one.")
    ] = None,
    rows_per_file: Annotated[
        int,
        typer.Option(min=1, max=10_000_000, help="Points per file: what a resumed run repeats."),
    ] = 100_000,
    zstd: Annotated[int, typer.Option(min=1, max=22, help="Compression level.")] = 3,
    restart: Annotated[
        bool, typer.Option("--restart", help="Replace what is there by a new export.")
    ] = False,
) -> None:
    """Write collections to Parquet files with a manifest; goes on where an earlier run ended."""
    settings = prepared()
    from backfill.archive.export import ExportOptions  # noqa: PLC0415 - it loads the Parquet library

    options = ExportOptions(rows_per_file=rows_per_file, level=zstd, restart=restart)
    finish(_export(settings, pattern, to, side, url, options))


async def _export(  # noqa: PLR0917 - the command's options
    settings: Settings,
    pattern: str,
    to: Path,
    side: Side,
    url: str | None,
    options: "ExportOptions",
) -> bool:
    from backfill.archive.export import Export  # noqa: PLC0415 - see above
    from backfill.archive.files import directory_name  # noqa: PLC0415
    from service import archiving  # noqa: PLC0415

    async with archiving.opened(settings, side, url=url) as store:
        exporting = Export(store.reader, store.describe, store.origin, options)

        async def one(name: str) -> bool:
            directory = to / directory_name(name)
            with counted(name, "points") as show:
                exported = await exporting.run(name, directory, show)
            typer.echo(f"{name}: {_describe(exported)} in {directory}")
            return True

        return await one_by_one(await archiving.matching(store.store, pattern), one, str)


def _describe(exported: "Exported") -> str:
    manifest = exported.manifest
    if exported.was_done:
        return f"was complete already (--restart exports again): {manifest.rows:,} points"
    size = decimal(sum(entry.bytes for entry in manifest.entries))
    before, after = manifest.counted.get("before"), manifest.counted.get("after")
    meanwhile = (
        ""
        if before == after == manifest.rows
        else (f" (the store counted {before:,} before and {after:,} after: it was written to)")
    )
    return f"{manifest.rows:,} points, {len(manifest.entries)} file(s), {size}{meanwhile}"
