"""``vecferry snapshot``: Qdrant's own snapshots, brought to files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from service.cli.alone import finish, one_by_one, prepared
from service.cli.counting import counted
from service.cli.stage import Pattern
from service.config import Settings

if TYPE_CHECKING:
    from backfill.archive.snapshot import Saved


def snapshot(
    pattern: Pattern,
    to: Annotated[Path, typer.Option(help="Directory; each collection gets one below it.")],
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the snapshot on the server as well.")
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="A Qdrant node; default: VECFERRY_QDRANT_URL.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1.0, help="Seconds that Qdrant may take to make one.")
    ] = 3_600.0,
) -> None:
    """Have Qdrant make snapshots of collections and download them; the embedded engine has none."""
    finish(_snapshot(prepared(), pattern, to, keep=keep, url=url, seconds=timeout))


async def _snapshot(
    settings: Settings, pattern: str, to: Path, *, keep: bool, url: str | None, seconds: float
) -> bool:
    from backfill.archive.files import directory_name  # noqa: PLC0415 - it loads the stores' libraries
    from backfill.archive.snapshot import save  # noqa: PLC0415
    from service import archiving  # noqa: PLC0415

    async with archiving.snapshots(settings, url=url, seconds=seconds) as (store, taking):

        async def one(name: str) -> bool:
            directory = to / directory_name(name)
            with counted(name, "bytes") as show:
                saved = await save(taking, name, directory, keep=keep, on_progress=show)
            typer.echo(f"{name}: {_describe(saved)}")
            if saved.left is not None and not keep:
                typer.secho(f"{name}: still on the server: {saved.left}", fg="red", err=True)
                return False
            return True

        return await one_by_one(await archiving.matching(store, pattern), one, str)


def _describe(saved: "Saved") -> str:
    checked = (
        "checked against the server's checksum"
        if saved.is_checked
        else ("the server tells no checksum: only the length was checked")
    )
    return f"{decimal(saved.bytes)} in {saved.path}, sha256 {saved.sha256} ({checked})"
