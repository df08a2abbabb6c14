"""A step in replay cannot reach for the world, and what it tried is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

from kronos.debugger.guard import guarded
from kronos.errors import EffectBlocked


def connect(port: int) -> None:
    with socket.socket() as client:
        client.connect(("127.0.0.1", port))


def datagram(data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("127.0.0.1", 9))


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        yield listening


def arrivals(server: socket.socket) -> int:
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except TimeoutError:
            return count
        count += 1


def test_a_connection_is_stopped_before_it_is_made(server):
    port = server.getsockname()[1]
    with guarded("notify") as stopped, pytest.raises(EffectBlocked) as blocked:
        connect(port)
    assert f"step 'notify' called socket.connect(('127.0.0.1', {port}))" in blocked.value.message
    assert [error.facts["step"] for error in stopped] == ["notify"]
    assert arrivals(server) == 0


def test_outside_of_a_step_nothing_is_stopped(server):
    with guarded("notify"):
        pass
    connect(server.getsockname()[1])
    assert arrivals(server) == 1


def test_threads_of_the_step_are_watched_too(server):
    port = server.getsockname()[1]
    caught: list[BaseException] = []

    def work() -> None:
        try:
            connect(port)
        except EffectBlocked as error:
            caught.append(error)

    with guarded("notify") as stopped:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(caught) == len(stopped) == 1
    assert arrivals(server) == 0


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: subprocess.run([sys.executable, "-c", ""], check=False), "subprocess.Popen("),
        (lambda: os.system("true"), "os.system("),
        (os.fork, "os.fork("),
        (lambda: os.kill(os.getpid(), 0), "os.kill("),
        (lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {}), "os.posix_spawn("),
        (lambda: socket.getaddrinfo("kronos.invalid", 80), "socket.getaddrinfo('kronos.invalid', 80"),
        (lambda: datagram(b"x"), "socket.sendto("),
    ],
)
def test_every_way_out_is_named(call, name):
    with guarded("notify") as stopped, pytest.raises(EffectBlocked) as blocked:
        call()
    assert f"step 'notify' called {name}" in blocked.value.message
    assert len(stopped) == 1


def test_an_event_loop_and_files_are_no_effects(tmp_path):
    import asyncio

    async def work() -> str:
        await asyncio.sleep(0)
        return await asyncio.to_thread((tmp_path / "note").write_text, "x") and "done"

    with guarded("summary") as stopped:
        assert asyncio.run(work()) == "done"
    assert stopped == []
