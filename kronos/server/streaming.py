"""Server-Sent Events: a run's new facts, as they are recorded.

Rule 1: `id` is a seq, so a browser that lost its connection resumes exactly where it was.
Rule 2: waiting takes a thread of its own pool, and there are so many and no more: streams never starve questions.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import StreamingResponse

from kronos.app import Kronos
from kronos.core.events import expand
from kronos.errors import InvalidInput, KronosError
from kronos.kernel.ids import RunId
from kronos.server import shapes
from kronos.server.api import run_id_of
from kronos.server.reading import event_line
from kronos.server.status import Busy, public

__all__ = ["STREAMS_MAX", "Streams"]

T = TypeVar("T")

STREAMS_MAX: Final = 64
WAIT_S: Final = 1.0
SILENCE_MAX: Final = 15
BATCH: Final = 500
RETRY_MS: Final = 1_000

_encode: Final = msgspec.json.Encoder().encode


class Streams:
    """The open streams of one server."""

    def __init__(self, app: Kronos) -> None:
        self._app = app
        self._pool = ThreadPoolExecutor(STREAMS_MAX, thread_name_prefix="kronos-stream")
        self._open = 0
        self._stopping = threading.Event()

    async def respond(self, request: Request) -> StreamingResponse:
        """Return the stream of a run from `Last-Event-ID` or `after` on; raise `Busy` when there are too many."""
        run_id = run_id_of(request)
        after = _position(request)
        await self._call(lambda: self._app.history.run(run_id))
        if self._open >= STREAMS_MAX:
            raise Busy(f"{STREAMS_MAX} streams are open, which is the limit: close a page", limit=STREAMS_MAX)
        body = self._stream(request, run_id, after)
        return StreamingResponse(body, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    def stop(self) -> None:
        """End every stream."""
        self._stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _stream(self, request: Request, run_id: RunId, after: int) -> AsyncIterator[bytes]:
        self._open += 1
        silence = 0
        try:
            yield b"retry: %d\n\n" % RETRY_MS
            while not self._stopping.is_set() and not await request.is_disconnected():
                update = await self._call(lambda: self._update(run_id, after))  # noqa: B023 - called before it changes
                silence = silence + 1 if update is None else 0
                if update is None:
                    if silence % SILENCE_MAX == 0:
                        yield b": still here\n\n"
                    continue
                after = update.events[-1].seq if update.events else after
                yield _message("update", after, update)
                if update.phase.is_final and after >= update.head_seq:
                    yield _message("end", after, update.phase)
                    return
        except KronosError as error:
            yield _message("refused", after, public(error, where="the stream").message)
        except RuntimeError:
            if not self._stopping.is_set():  # a pool that is shut down takes no more work
                raise
        finally:
            self._open -= 1

    def _update(self, run_id: RunId, after: int) -> shapes.Update | None:
        stored = self._app.events_since(run_id, after, wait_s=WAIT_S)
        run = self._app.history.run(run_id)
        if not stored and not run.phase.is_final:
            return None
        facts = [fact for event in stored[:BATCH] for fact in expand(event) if fact.seq > after]
        last = facts[-1].seq if facts else after
        return shapes.Update(
            head_seq=max(run.head_seq, last), phase=run.phase, events=[event_line(run_id, fact) for fact in facts]
        )

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)


def _position(request: Request) -> int:
    text = request.headers.get("last-event-id") or request.query_params.get("after", "0")
    if not text.isascii() or not text.isdigit():
        raise InvalidInput(f"Last-Event-ID {text!r} is not the seq of an event", field="Last-Event-ID", value=text)
    return int(text)


def _message(event: str, seq: int, data: object) -> bytes:
    return b"event: %s\nid: %d\ndata: %s\n\n" % (event.encode(), seq, _encode(data))
