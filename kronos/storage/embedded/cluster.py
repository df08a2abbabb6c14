"""What is in a data folder: a cluster made once, a configuration written at each start, a password.

Rule 1: durable: fsync, synchronous commit and full-page writes are on; a crash loses nothing that was committed.
Rule 2: a cluster is made beside its place, synced once, and renamed into it: a half-made one is never found.
Rule 3: scram with a password in a 0600 file; no trust, no TCP.  The password is 192 random bits, which nobody guesses
        at any speed, so it is hashed once: 4,096 times, as people's passwords want, was 3 of the 5 ms of a connection.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Final

from kronos.errors import Unavailable
from kronos.storage.embedded.placement import Home

__all__ = ["MAJOR", "USER", "make_cluster", "read_password", "server_environment", "write_configuration"]

USER: Final = "kronos"
MAJOR: Final = "18"
INITDB_TIMEOUT_S: Final = 120

CONFIGURATION: Final = """\
# Written by Kronos at each start; changes belong into kronos/storage/embedded/cluster.py.
listen_addresses = ''
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
max_connections = 200
password_encryption = 'scram-sha-256'
scram_iterations = 1

# durable
fsync = on
synchronous_commit = on
full_page_writes = on

# nobody replicates from here, so the log carries only what recovery needs
wal_level = minimal
max_wal_senders = 0
min_wal_size = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9

# one machine, shared with the workers
shared_buffers = 256MB
work_mem = 16MB
maintenance_work_mem = 128MB
random_page_cost = 1.1
io_method = sync
max_parallel_workers_per_gather = 0
jit = off
autovacuum_naptime = 15s

timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, ymd'
lc_messages = 'C'
log_line_prefix = '%m [%p] '
log_checkpoints = off
"""


def make_cluster(home: Home, binaries: Path) -> None:
    """Make the cluster of `home` unless it is there; refuse one of another major version."""
    found = _version(home.data)
    if found == MAJOR:
        return
    if found is not None:
        raise Unavailable(
            f"{home.data} was made by PostgreSQL {found}, this Kronos brings {MAJOR}: "
            "set KRONOS_DATA_DIR to a new folder, or DATABASE_URL to a server that you upgrade yourself",
            field="KRONOS_DATA_DIR",
            value=found,
        )
    new = home.path / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    home.account.own(new)
    password = _make_password(home)
    _initdb(home, binaries, new, password)
    new.rename(home.data)
    _sync_folder(home.path)


def _initdb(home: Home, binaries: Path, new: Path, password: str) -> None:
    passing = home.path / "password.new"  # initdb reads it as the server's user; gone a second later
    passing.unlink(missing_ok=True)
    _write_private(passing, password)
    home.account.own(passing)
    initdb = [str(binaries / "initdb"), "--pgdata", str(new)]
    options = ["--no-sync", "--no-instructions", "--username", USER, "--auth=scram-sha-256", "--encoding=UTF8"]
    options += ["--set", "scram_iterations=1"]
    options += ["--pwfile", str(passing), "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        _run(home, [*initdb, *options])
        _run(home, [*initdb, "--sync-only"])
    finally:
        passing.unlink()


def _run(home: Home, command: list[str]) -> None:
    try:
        subprocess.run(
            command,
            check=True,
            cwd="/",
            env=server_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=INITDB_TIMEOUT_S,
            umask=0o077,
            **home.account.popen_arguments(),
        )
    except subprocess.CalledProcessError as error:
        said = error.stdout.decode(errors="replace").strip()
        raise Unavailable(f"the embedded PostgreSQL could not be made in {home.path}:\n{said}") from None
    except OSError as error:
        raise Unavailable(f"{command[0]} cannot be run: {error}") from None


def write_configuration(home: Home, socket_folder: Path) -> None:
    """Write postgresql.conf as this version of Kronos wants it."""
    text = CONFIGURATION.format(socket_folder=str(socket_folder).replace("'", "''"))
    target = home.data / "postgresql.conf"
    new = target.with_suffix(".new")
    new.unlink(missing_ok=True)
    _write_private(new, text)
    home.account.own(new)
    new.rename(target)


def read_password(home: Home) -> str:
    """Return the password of the database user; raise `Unavailable` when its file is gone or not ours."""
    try:
        return _password_file(home).read_text(encoding="ascii")
    except OSError as error:
        raise Unavailable(
            f"the database's password cannot be read from {_password_file(home)} ({error.strerror}): use the folder "
            "as the user that made it, or set KRONOS_DATA_DIR to a folder of your own",
            field="KRONOS_DATA_DIR",
        ) from None


def _make_password(home: Home) -> str:
    _password_file(home).unlink(missing_ok=True)
    password = secrets.token_hex(24)
    _write_private(_password_file(home), password)
    return password


def _password_file(home: Home) -> Path:
    return home.path / "password"


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _version(data: Path) -> str | None:
    try:
        return (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def server_environment() -> dict[str, str]:
    """Return the environment of a server process: nothing of the caller's, no PGDATA, no locale, no secrets."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}
