"""A small debugger of our own: the debug adapter protocol over a socket, nothing mocked."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest


class DebugClient:
    """Speaks DAP as an editor does: attach, wait for a stop, look at frames and variables, continue."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=20)
        self._file = self._socket.makefile("rb")
        self._seq = 0
        self._events: list[dict[str, Any]] = []
        self._answers: dict[int, dict[str, Any]] = {}

    def attach(self) -> None:
        self.request("initialize", adapterID="kronos-test", linesStartAt1=True, pathFormat="path")
        attached = self.send("attach", justMyCode=False)
        self.wait_for("initialized")
        self.request("configurationDone")
        self.answer(attached)

    def stopped(self) -> dict[str, Any]:
        """Wait for a stop; return the top frame and its thread."""
        body = self.wait_for("stopped")["body"]
        frames = self.request("stackTrace", threadId=body["threadId"])["stackFrames"]
        return {**frames[0], "threadId": body["threadId"]}

    def variables(self, frame: dict[str, Any]) -> dict[str, str]:
        scopes = self.request("scopes", frameId=frame["id"])["scopes"]
        found = self.request("variables", variablesReference=scopes[0]["variablesReference"])["variables"]
        return {each["name"]: each["value"] for each in found}

    def resume(self, frame: dict[str, Any]) -> None:
        self.request("continue", threadId=frame["threadId"])

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self.answer(self.send(command, **arguments))

    def send(self, command: str, **arguments: Any) -> int:
        self._seq += 1
        body = json.dumps({"seq": self._seq, "type": "request", "command": command, "arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self._seq

    def answer(self, seq: int) -> dict[str, Any]:
        while seq not in self._answers:
            self._read()
        answer = self._answers.pop(seq)
        assert answer["success"], answer
        return answer.get("body", {})

    def wait_for(self, event: str) -> dict[str, Any]:
        while True:
            for i, each in enumerate(self._events):
                if each["event"] == event:
                    return self._events.pop(i)
            self._read()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _read(self) -> None:
        length = 0
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        message = json.loads(self._file.read(length))
        if message["type"] == "event":
            self._events.append(message)
        elif message["type"] == "response":
            self._answers[message["request_seq"]] = message


@pytest.fixture
def debug_client():
    """Connect to a debug adapter, patiently: `debug_client(host, port)`."""
    clients: list[DebugClient] = []

    def connect(host: str, port: int) -> DebugClient:
        deadline = time.monotonic() + 20
        while True:
            try:
                clients.append(DebugClient(host, port))
                return clients[-1]
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    yield connect
    for client in clients:
        client.close()
