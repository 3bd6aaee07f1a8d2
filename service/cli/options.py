"""Options that several commands share."""

from typing import Annotated

import typer

from backfill.jobs import JobKind

PointsPerSecond = Annotated[
    float | None,
    typer.Option(min=0.001, help="Most points per second, over all workers of a collection's job."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, max=10_000, help="Most ranges of a collection's job at once."),
]
PageBytes = Annotated[
    int | None,
    typer.Option(min=1024, max=256 * 1024 * 1024, help="How large a page should be, in bytes."),
]
Kind = Annotated[JobKind | None, typer.Option(help="Only jobs of this kind.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
