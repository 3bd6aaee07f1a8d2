"""The command's tree, and how its errors end: one line on standard error, exit 2 for configuration, 1 for the rest."""

import sys

import typer

from service.cli import (
    backfill,
    embedded,
    export,
    importing,
    jobs,
    ledger,
    quarantine,
    receipt,
    repair,
    schema,
    serve,
    snapshot,
    stage,
    status,
    verify,
    worker,
)
from service.errors import ConfigurationError, VecferryError

app = typer.Typer(
    name="vecferry",
    help="Move production traffic from Qdrant to PostgreSQL + pgvector, with no downtime and a way back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("status")(status.status)
app.command("backfill")(backfill.backfill)
app.command("verify")(verify.verify)
app.command("repair")(repair.repair)
app.command("schema")(schema.schema)
app.add_typer(jobs.app, name="jobs")
app.command("export")(export.export)
app.command("import")(importing.import_)
app.command("snapshot")(snapshot.snapshot)
app.add_typer(stage.app, name="stage")
app.add_typer(ledger.app, name="ledger")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(receipt.app, name="receipt")
app.add_typer(embedded.app, name="embedded")

_CONFIGURATION_EXIT = 2


def main() -> None:
    """Run the command."""
    try:
        app()
    except ConfigurationError as error:
        sys.stderr.write(f"vecferry: {error}\n")
        sys.exit(_CONFIGURATION_EXIT)
    except VecferryError as error:
        sys.stderr.write(f"vecferry: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
