"""``vecferry stage``: show and change the stage of collections."""

from typing import Annotated

import typer

from service.cli.client import ControlClient
from service.errors import StageError, VecferryError
from service.stages import TRANSITIONS, Stage

app = typer.Typer(no_args_is_help=True, help="Show and change stages.")

Pattern = Annotated[str, typer.Argument(help="A collection, or a shell pattern such as 'user_*'.")]


@app.command("set")
def set_stage(
    pattern: Pattern,
    stage: Annotated[Stage, typer.Argument(help="The stage to enter.")],
    percent: Annotated[
        int | None, typer.Option(min=0, max=100, help="Share of reads that move; for ramp only.")
    ] = None,
) -> None:
    """Bring collections to a stage and wait until every instance has confirmed it."""
    _check_percent(stage, percent)
    client = ControlClient.from_settings()
    failed = 0
    for name in client.matching(pattern):
        try:
            state = client.set_stage(name, stage, percent)
        except VecferryError as error:
            failed += 1
            typer.secho(f"{name}: {error}", fg="red", err=True)
        else:
            share = f" {state['percent']} %" if stage is Stage.RAMP else ""
            typer.echo(f"{name}: {state['stage']}{share} (epoch {state['epoch']})")
    if failed:
        raise typer.Exit(1)


def _check_percent(stage: Stage, percent: int | None) -> None:
    if stage is Stage.RAMP and percent is None:
        message = "ramp needs --percent N, the share of reads that move (0 to 100)"
        raise StageError(message)
    if stage is not Stage.RAMP and percent is not None:
        message = f"--percent is for ramp only, not for {stage}"
        raise StageError(message)


@app.command("list")
def list_stages() -> None:
    """Show every stage and where it can go."""
    for stage in Stage:
        reachable = [str(to) for (start, to) in TRANSITIONS if start is stage]
        typer.echo(f"{stage:<10} → {', '.join(reachable) or 'nowhere'}")
