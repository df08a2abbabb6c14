"""The mother of the worker processes: imports what a worker needs, once, and forks one for each that is wanted.

    python -m tests.durability.mother      standard input is a socket of packets

  bear       with two descriptors, the child's standard input and output: answers its pid
  look PID   answers the exit code (negative: the signal), or `lives`

Rule: she has no thread, no connection and no orders; what a worker is, it becomes after the fork, in `worker.main`.
"""

from __future__ import annotations

import os
import socket
import threading

from tests.durability import worker


def main() -> None:
    line = socket.socket(fileno=os.dup(0))
    assert threading.active_count() == 1, "what forks has one thread"
    while True:
        question, descriptors, _, _ = socket.recv_fds(line, 100, 2)
        if not question:
            return
        word, _, pid = question.decode().partition(" ")
        answer = str(bear(line, *descriptors)) if word == "bear" else look(int(pid))
        line.send(answer.encode())


def bear(line: socket.socket, stdin: int, stdout: int) -> int:
    """Fork a worker; return its pid."""
    if pid := os.fork():
        os.close(stdin)
        os.close(stdout)
        return pid
    line.close()
    for descriptor, standard in ((stdin, 0), (stdout, 1)):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    worker.main()
    raise SystemExit(0)  # and with it everything that a process does at its end


def look(pid: int) -> str:
    """Return how a child ended, or that it lives."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return str(os.waitstatus_to_exitcode(status)) if found else "lives"


if __name__ == "__main__":
    main()
