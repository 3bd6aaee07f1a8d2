"""Qdrant's filters and payload paths, as SQL and as functions on JSON values. Pure: no driver, no I/O."""
