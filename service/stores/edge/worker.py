"""The engine process: one thread that reads calls, runs them, answers, and does what is due in between.

``python -m service.stores.edge.worker <socket> <lock> <data directory> <index> <count> <settings as JSON>``.
It ends, everything written out, when the front closes its end of the socket, and also when the front dies.
"""

import json
import select
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from service.garbage import collect_rarely
from service.stores.edge.engine import Engine
from service.stores.edge.settings import EngineSettings
from service.stores.edge.wire import Reply, pack, receive


def serve(connection: socket.socket, engine: Engine) -> None:
    """Answer calls until the other end is closed."""
    while True:
        _send(connection, engine.tick())
        readable, _, _ = select.select([connection], [], [], engine.next_tick())
        if not readable:
            continue
        request = receive(connection)
        if request is None:
            return
        _send(connection, engine.handle(request))


def _send(connection: socket.socket, replies: Iterable[Reply]) -> None:
    for reply in replies:
        connection.sendall(pack(reply))


def main() -> None:
    """Run one engine process."""
    # A terminal's Ctrl-C reaches the whole group; the front decides when its engines end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, lock, data_dir, index, count, settings = sys.argv[1:]
    connection = socket.socket(fileno=int(descriptor))
    engine = Engine(
        Path(data_dir) / "collections",
        int(index),
        int(count),
        EngineSettings(**json.loads(settings)),
        int(lock),
    )
    collect_rarely()
    try:
        serve(connection, engine)
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        engine.close()


if __name__ == "__main__":
    main()
