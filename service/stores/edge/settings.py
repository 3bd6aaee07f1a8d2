"""How the engine processes behave; the defaults are meant for one machine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Delays are in seconds.

    An operation with ``wait=false`` is applied ``deferred`` after it was acknowledged. Vectors are indexed when no
    write came for ``idle``, or ``patience`` after there were enough of them, and not again within ``cooldown``.
    At most ``backlog_points`` points may change while an index is built, then writes to that collection wait: at most
    ``held_writes`` of them. At most ``pending_writes`` acknowledged operations wait to be applied.
    """

    deferred: float = 0.05
    idle: float = 1.0
    patience: float = 30.0
    cooldown: float = 5.0
    flush_interval: float = 5.0
    backlog_points: int = 50_000
    held_writes: int = 1_000
    pending_writes: int = 10_000
