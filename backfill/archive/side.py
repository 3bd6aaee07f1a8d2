"""The stores that can be exported and imported into."""

from enum import StrEnum


class Side(StrEnum):
    """Which store a command reads or writes."""

    PROXY = "proxy"
    """Whichever is right, through a running vecferry; what is written is mirrored as any client's write is."""
    SOURCE = "source"
    """Qdrant itself."""
    TARGET = "target"
    """Postgres itself."""
