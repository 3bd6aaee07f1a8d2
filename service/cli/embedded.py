"""``vecferry embedded``: one of the bundled engines on its own, in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from service import config, logs

app = typer.Typer(no_args_is_help=True, help="Run a bundled engine in the foreground.")

DataDir = Annotated[
    Path | None, typer.Option(help="Where it keeps its data; default: below VECFERRY_DATA_DIR.")
]


@app.command("postgres")
def postgres(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Default: a free port.")] = None,
) -> None:
    """Run PostgreSQL with pgvector; prints its DSN."""
    from service.embedded.postgres import run_postgres  # noqa: PLC0415 - see serve.py

    run_postgres(_prepare(data_dir, "postgres"), port, typer.echo)


@app.command("qdrant")
def qdrant(
    data_dir: DataDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 is a free port.")] = 6333,
) -> None:
    """Run Qdrant's engine behind Qdrant's REST API; prints its URL."""
    from service.embedded.qdrant import run_qdrant  # noqa: PLC0415 - see serve.py

    run_qdrant(_prepare(data_dir, "qdrant"), host, port, typer.echo)


def _prepare(data_dir: Path | None, name: str) -> Path:
    settings = config.load()
    logs.configure(level=settings.log_level, output=settings.log_format)
    directory = data_dir or settings.data_dir / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory
