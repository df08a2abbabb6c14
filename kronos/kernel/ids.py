"""Names for identities, so that the type checker keeps them apart."""

from __future__ import annotations

import uuid
from typing import NewType

from kronos.errors import InvalidInput

__all__ = ["BlobHash", "DatasetId", "DefinitionId", "IncarnationId", "JobId", "RunId", "StepName", "parse_run_id"]

RunId = NewType("RunId", str)
"""A UUIDv7 in its 36-character form; made by the database (`kronos.uuid7()`)."""

JobId = NewType("JobId", str)
"""A UUIDv7 like a run's."""

DefinitionId = NewType("DefinitionId", str)
"""Hash of a workflow's name, version, graph and code."""

IncarnationId = NewType("IncarnationId", int)
"""One life of one worker process."""

StepName = NewType("StepName", str)
BlobHash = NewType("BlobHash", str)
DatasetId = NewType("DatasetId", str)


def parse_run_id(text: object) -> RunId:
    """Return `text` as a run id; raise `InvalidInput` naming it when it is none."""
    try:
        if isinstance(text, str):
            return RunId(str(uuid.UUID(text)))
    except ValueError:
        pass
    raise InvalidInput(f"run id {text!r} is not a UUID: `kronos runs list` prints them", field="run_id", value=text)
