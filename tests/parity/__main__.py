"""``make parity``: every row, a table per feature, and what differs.

``python -m tests.parity [words of a row's name …] [--profile fast|deep]``
"""

import argparse
import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from service.embedded.postgres import EmbeddedPostgres
from tests.parity.features import all_rows
from tests.parity.report import Report
from tests.parity.rig import DataSetRefusedError, rig


def main() -> int:
    """Run the suite; 0 when every answer is equal or its difference is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity")
    parser.add_argument(
        "words", nargs="*", help="only rows whose feature and name contain all of them"
    )
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="vecferry-parity-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        report = asyncio.run(_run(server.start(), Path(folder), arguments.words))
        server.stop()
    print(report.text())
    return 0 if report.is_ok else 1


async def _run(database_url: str, folder: Path, words: list[str]) -> Report:
    report = Report()
    async with rig(database_url, folder) as both:
        for feature, rows in all_rows().items():
            for row in rows:
                label = f"{feature}: {row.dataset}: {row.name}"
                if all(word in label for word in words):
                    try:
                        found = await both.run(row)
                    except DataSetRefusedError as error:
                        found = [str(error)[:300]]
                    report.add(feature, row, found)
    return report


if __name__ == "__main__":
    sys.exit(main())
