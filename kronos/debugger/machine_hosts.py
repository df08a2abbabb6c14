"""The hosts of a machine: warm processes, one for each code that is re-executed.

Rule 1: at most four hosts live; the one that was not asked for longest goes first, and each ends with this process.
Rule 2: a host that is gone is replaced once; one that dies on the same question again is an error that says how.
Rule 3: checkpoints reach a host sealed under a key of the pool's own: user code never meets the store's.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from kronos import errors
from kronos.debugger import host_wire as wire
from kronos.errors import Conflict, KronosError, Unavailable
from kronos.kernel.ids import BlobHash
from kronos.ports import Blobs

__all__ = ["Hosts"]

HOSTS_MAX: Final = 4
SILENCE_S_MAX: Final = 300.0
"""How long one row of a strategy may take before its host is given up."""

Progress = Callable[[int], None]


class Hosts:
    """A pool of hosts by name; safe for several threads (one question at a time for each host)."""

    def __init__(self, blobs: Blobs, datasets: Path) -> None:
        self._blobs, self._datasets = blobs, datasets
        self.key: Final = secrets.token_bytes(32)
        self._guard = threading.Lock()
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    def ask(
        self, name: str, modules: Callable[[], Mapping[str, str]], seek: wire.Seek, progress: Progress | None
    ) -> wire.Seen:
        """Return what the host called `name` sees; raise what it raised.

        `modules` names the captured files where a host has to be started.
        """
        for last in (False, True):
            host = self._host(name, modules)
            try:
                return host.ask(seek, progress)
            except TimeoutError:
                self._drop(name, host)
                raise Unavailable(
                    f"re-executing step {seek.step!r} was silent for {SILENCE_S_MAX:g} s and was given up",
                    step=seek.step,
                ) from None
            except (EOFError, OSError):
                code = self._drop(name, host)
                if last:
                    raise Unavailable(
                        f"re-executing step {seek.step!r} ended its process (exit code {code}) twice", step=seek.step
                    ) from None
        raise AssertionError("the second time returns or raises")

    def close(self) -> None:
        """End every host."""
        with self._guard:
            hosts = list(self._hosts.values())
            self._hosts.clear()
        for host in hosts:
            host.end()

    def _host(self, name: str, modules: Callable[[], Mapping[str, str]]) -> _Host:
        with self._guard:
            host = self._hosts.get(name)
            if host is not None and (host.is_gone or host.is_stale):
                self._hosts.pop(name).end()
                host = None
            if host is None:
                host = self._hosts[name] = _Host(self._blobs, self._datasets, dict(modules()), self.key)
            self._hosts.move_to_end(name)
            oldest = self._hosts.popitem(last=False)[1] if len(self._hosts) > HOSTS_MAX else None
        if oldest is not None:
            oldest.end()
        return host

    def _drop(self, name: str, host: _Host) -> int | None:
        with self._guard:
            if self._hosts.get(name) is host:
                del self._hosts[name]
        return host.end()


class _Host:
    """One process and the connection to it."""

    def __init__(self, blobs: Blobs, datasets: Path, modules: dict[str, str], key: bytes) -> None:
        self._blobs = blobs
        self._guard = threading.Lock()
        self._files: dict[str, int] = {}
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "kronos.debugger.host", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        ours.settimeout(SILENCE_S_MAX)
        self._connection = ours
        path = [str(Path(each or ".").resolve()) for each in sys.path]
        wire.send(ours, wire.Hello(path, os.getpid(), modules, str(datasets), key))

    @property
    def is_gone(self) -> bool:
        return self._process.poll() is not None

    @property
    def is_stale(self) -> bool:
        """Whether a file that the host has loaded was changed since."""
        return any(_modified(file) != at for file, at in self._files.items())

    def ask(self, seek: wire.Seek, progress: Progress | None) -> wire.Seen:
        """Return the host's answer; a question that is left unanswered (Ctrl-C, `progress` raised) ends the host."""
        with self._guard:
            answer = None
            try:
                wire.send(self._connection, seek)
                answer = self._answer(progress)
            finally:
                if answer is None:
                    self.end()
        if isinstance(answer, wire.Failed):
            raise _error(answer, seek)
        self._files = answer.files
        return answer

    def _answer(self, progress: Progress | None) -> wire.Seen | wire.Failed:
        while True:
            match wire.receive_from_host(self._connection):
                case wire.Ask(blob=blob):
                    wire.send(self._connection, self._blob(BlobHash(blob)))
                case wire.Working(row=row):
                    if progress is not None:
                        progress(row)
                case wire.Failed() | wire.Seen() as answer:
                    return answer

    def end(self) -> int | None:
        """End the process at once and return its exit code; a question that waits gets `EOFError`."""
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        return code

    def _blob(self, blob: BlobHash) -> wire.Reply:
        try:
            return wire.Reply(self._blobs.get(blob))
        except KronosError as error:
            return wire.Reply(None, error.message)


def _error(failed: wire.Failed, seek: wire.Seek) -> KronosError:
    if failed.known and failed.row is None:
        return _named(failed.error)(failed.message)
    where = "before its first row" if failed.row is None else f"at row {failed.row}"
    told = f"re-executing step {seek.step!r} raised {failed.error} {where}: {failed.message}"
    kind = _named(failed.error) if failed.known else Conflict
    return kind(told, step=seek.step, row=failed.row, traceback=failed.traceback)


def _named(error: str) -> type[KronosError]:
    kind: type[KronosError] = getattr(errors, error)
    return kind


def _modified(file: str) -> int | None:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return None


def _environment() -> dict[str, str]:
    """Return our environment, in which this very package of Kronos is found first."""
    home = str(Path(errors.__file__).resolve().parents[1])
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
