"""A real PostgreSQL (Debian's package) of our own: a fresh cluster on a free loopback port, in a folder of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from orthanc_plugin.demo.local_orthanc import free_ports

PROGRAMS = Path("/usr/lib/postgresql")


@contextmanager
def running_postgres() -> Iterator[str]:
    """SQLAlchemy URL of an empty database of a server that is gone afterwards."""
    # Not in pytest's folders, which are closed to PostgreSQL's own user.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with _serving(Path(folder) / "postgres") as url:
            yield url


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    folder.mkdir()
    # PostgreSQL refuses to run as root.
    owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    shutil.chown(folder, owner)
    (port,) = free_ports(1)
    cluster = str(folder / "cluster")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    _call(owner, "initdb", "-D", cluster, "-U", "curia", "-A", "trust", "--no-sync")
    _call(owner, "pg_ctl", "-D", cluster, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        with psycopg.connect(f"postgresql://curia@127.0.0.1:{port}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE curia")
        yield f"postgresql+psycopg://curia@127.0.0.1:{port}/curia"
    finally:
        _call(owner, "pg_ctl", "-D", cluster, "-m", "immediate", "stop")


def new_database(url: str, name: str) -> str:
    """URL of another empty database on the same server."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{url.rpartition('/')[0]}/{name}"


def dump(url: str) -> bytes:
    """A backup as docs/operation.md says, taken while services run."""
    command = [_find("pg_dump"), "--format=custom", url.replace("+psycopg", "")]
    return subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE).stdout


def restore(url: str, backup: bytes) -> None:
    """Put the backup in the place of what the database holds, as docs/operation.md says."""
    command = [_find("pg_restore"), "--clean", "--if-exists", "--single-transaction"]
    subprocess.run([*command, f"--dbname={url.replace('+psycopg', '')}"], check=True, timeout=60, input=backup)


def _call(owner: str, program: str, *arguments: str) -> None:
    user = owner if os.geteuid() == 0 else None
    # Its log takes over the standard error, so nothing may be piped.
    subprocess.run([_find(program), *arguments], user=user, check=True, timeout=60, cwd="/", stdout=subprocess.DEVNULL)


def _find(program: str) -> str:
    found = sorted(PROGRAMS.glob(f"*/bin/{program}"))
    if not found:
        pytest.fail("no PostgreSQL on this machine; make test installs it")
    return str(found[-1])
