"""Commands that work in their own process, without a control API: set-up, and one collection after the other."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TypeVar

import typer

from service import config, logs
from service.config import Settings
from service.errors import VecferryError

T = TypeVar("T")


def prepared() -> Settings:
    """Return the settings; what is logged meanwhile goes to standard error, as text unless JSON was asked for."""
    settings = config.load()
    output = "json" if settings.log_format == "json" else "console"
    logs.configure(level=settings.log_level, output=output)
    return settings


def finish(work: Coroutine[object, object, bool]) -> None:
    """Run the command's work; exit 1 unless it says that all went well."""
    if not asyncio.run(work):
        raise typer.Exit(1)


async def one_by_one(
    items: Sequence[T], do: Callable[[T], Awaitable[bool]], name: Callable[[T], str]
) -> bool:
    """Do the same with each, also when another one failed; returns whether all went well."""
    went_well = True
    for item in items:
        try:
            went_well &= await do(item)
        except VecferryError as error:
            went_well = False
            typer.secho(f"{name(item)}: failed: {error}", fg="red", err=True)
    return went_well
