"""Backfill, verification and repair jobs."""
