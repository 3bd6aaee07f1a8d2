"""``vecferry serve``: the proxy and its control API in one process."""

from pathlib import Path
from typing import Annotated

import typer

from service import config, logs


def serve(
    host: Annotated[str | None, typer.Option(help="Overrides VECFERRY_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides VECFERRY_PORT.")] = None,
    control_port: Annotated[
        int | None, typer.Option(help="Overrides VECFERRY_CONTROL_PORT.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Overrides VECFERRY_DATA_DIR.")] = None,
) -> None:
    """Run the proxy. Without URLs it starts its own Qdrant engine and its own Postgres."""
    settings = config.load(host=host, port=port, control_port=control_port, data_dir=data_dir)
    logs.configure(level=settings.log_level, output=settings.log_format)
    # The servers' libraries take a second to import: only the commands that serve pay for them.
    from service import serving  # noqa: PLC0415

    serving.run(settings)
