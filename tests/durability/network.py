"""A network of our own, whose middle can stop forwarding: packets vanish, and nobody is told.

    this machine ── router ── worker        three network namespaces, two pairs of interfaces

Rule: nothing of the machine's own network is touched but one route into the new one; `close` removes everything.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from types import TracebackType
from typing import Final, Self

import pytest

__all__ = ["Network"]

CI: Final = os.environ.get("CI", "").lower() == "true"


class Network:
    """`here` is this machine's address as the worker sees it; `inside` is put before a command to run it there."""

    def __init__(self) -> None:
        name = f"k{os.getpid() % 100_000}"
        third, fourth = random.randrange(256), 8 * random.randrange(32)
        self._router, self._worker = f"{name}r", f"{name}w"
        self._addresses = [f"10.219.{third}.{fourth + offset}" for offset in (1, 2, 5, 6)]
        self._name = name
        self.here: Final = self._addresses[0]
        self.inside: Final = ("ip", "netns", "exec", self._worker)

    def __enter__(self) -> Self:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            _absent("a partition needs root and the tools of iproute2")
        here, near, far, there = self._addresses
        name, router, worker = self._name, self._router, self._worker
        try:
            for namespace in (router, worker):
                _ip("netns", "add", namespace)
            _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", router)
            _ip("-n", router, "link", "add", f"{name}c", "type", "veth", "peer", "name", f"{name}d", "netns", worker)
            _ip("addr", "add", f"{here}/30", "dev", f"{name}a")
            _ip("-n", router, "addr", "add", f"{near}/30", "dev", f"{name}b")
            _ip("-n", router, "addr", "add", f"{far}/30", "dev", f"{name}c")
            _ip("-n", worker, "addr", "add", f"{there}/30", "dev", f"{name}d")
            _ip("link", "set", f"{name}a", "up")
            for namespace, links in ((router, "bc"), (worker, "d")):
                for link in (*(name + letter for letter in links), "lo"):
                    _ip("-n", namespace, "link", "set", link, "up")
            _ip("-n", worker, "route", "add", "default", "via", far)
            _ip("route", "add", f"{there}/32", "via", near)
            self.heal()
        except subprocess.CalledProcessError as error:
            self.close()
            _absent(f"no network namespaces here: {error.stderr.decode().strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def cut(self) -> None:
        """Drop every packet between the worker and this machine, in both directions."""
        self._forward(0)

    def heal(self) -> None:
        """Let packets through again."""
        self._forward(1)

    def close(self) -> None:
        """Remove the namespaces, and with them their interfaces and routes."""
        for namespace in (self._router, self._worker):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)
        subprocess.run(["ip", "link", "del", f"{self._name}a"], capture_output=True)

    def _forward(self, value: int) -> None:
        _ip("netns", "exec", self._router, "sysctl", "-qw", f"net.ipv4.ip_forward={value}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _absent(reason: str) -> None:
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)
