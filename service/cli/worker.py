"""``vecferry worker``: a process that only works on ranges of backfills and verifications."""

from typing import Annotated

import typer

from service import config, logs


def worker(
    ranges: Annotated[
        int | None, typer.Option(min=1, max=64, help="Ranges at once; default VECFERRY_WORKERS.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Serve /metrics, /healthz and /readyz on this port of VECFERRY_HOST.",
        ),
    ] = None,
) -> None:
    """Help the instances with their jobs, from any machine that reaches both stores; it answers no client."""
    settings = config.load(workers=ranges)
    logs.configure(level=settings.log_level, output=settings.log_format)
    # The servers' libraries take a second to import: only the commands that serve pay for them.
    from service import working  # noqa: PLC0415

    working.run(settings, metrics_port)
