"""Jobs as the control API shows them."""

from typing import Any


def a_job(**changes: Any) -> dict[str, Any]:
    """Return a running backfill of ``docs``, changed."""
    return {
        "id": "7d0a7ec4-7a8c-4a76-9d6b-2f1c1b1b8b1d",
        "kind": "backfill",
        "collection": "docs",
        "generation": 1,
        "state": "running",
        "phase": "running",
        "note": None,
        "options": {
            "paused": False, "points_per_second": None, "workers": None, "page_bytes": None,
        },
        "scanned": 0,
        "copied": 0,
        "total": 100_000,
        "bytes": 0,
        "ranges": 2,
        "ranges_done": 0,
        "workers": 1,
        "points_per_second": None,
        "average_points_per_second": None,
        "seconds_left": None,
        "elapsed_seconds": 0.0,
        "created_at": "2026-11-22T21:00:00+00:00",
        "ended_at": None,
        "error": None,
        "clean": None,
        **changes,
    }  # fmt: skip
