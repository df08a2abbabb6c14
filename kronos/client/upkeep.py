"""`client.upkeep`: the soundness of what a server stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kronos._proto.v1 import service_pb2 as pb

__all__ = ["RemarkRecord", "UpkeepClient"]


class RemarkRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor's; `level` is ok, note or bad, `do` may be empty."""

    topic: str
    level: str
    what: str
    do: str


class UpkeepClient:
    """Reached as `client.upkeep`."""

    def __init__(self, call: Callable[..., Any], stub: Any) -> None:
        self._call = call
        self._stub = stub

    def explain(self, run_id: str) -> list[RemarkRecord]:
        """Return why a run is not moving, the nearest reason first; raise `NotFound`."""
        answer = self._call(self._stub.ExplainRun, pb.ExplainRunRequest(run_id=run_id), pb.ExplainRunResponse)
        return [RemarkRecord(topic=r.topic, level=r.level, what=r.what, do=r.do) for r in answer.remarks]
