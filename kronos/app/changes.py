"""What whoever forks a run wants to be otherwise, in Python or as JSON texts.

Rule: every surface (Python, command line, gRPC, HTTP) makes one `Changes`, so that they refuse alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kronos.core.definition import WorkflowDefinition
from kronos.errors import InvalidInput
from kronos.kernel import canonical

__all__ = ["Changes", "changes_from_json"]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a fork does otherwise.  Values are plain Python, encoded as run inputs are.

    `input` replaces the run's input, `inputs` arguments of steps (`{"score": {"threshold": 3}}`), `outputs` stands for
    executing steps, `version` or `workflow` brings other code (a registered version; the code of this process).
    `allow_external` lets the fork execute `external` and `tx` steps, which act on the world outside once more.
    """

    input: object = msgspec.UNSET
    inputs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    outputs: Mapping[str, object] = field(default_factory=dict)
    version: str | None = None
    workflow: WorkflowDefinition[Any, Any] | None = None
    allow_external: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether the fork does what its parent did."""
        given = (self.inputs, self.outputs, self.version, self.workflow)
        return self.input is msgspec.UNSET and not any(given)


def changes_from_json(
    *,
    run_input: str = "",
    outputs: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
    version: str = "",
    allow_external: bool = False,
) -> Changes:
    """Return changes whose values are JSON texts, "" for what is not given; raise `InvalidInput` naming the text."""
    return Changes(
        input=_read(run_input, "input") if run_input else msgspec.UNSET,
        inputs={step: _read_object(text, f"inputs.{step}") for step, text in (inputs or {}).items()},
        outputs={step: _read(text, f"outputs.{step}") for step, text in (outputs or {}).items()},
        version=version or None,
        allow_external=allow_external,
    )


def _read(text: str, name: str) -> Any:
    try:
        return canonical.decode(text.encode("utf-8", "surrogatepass"))
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}: {text[:60]!r}", field=name, value=text[:60]) from None


def _read_object(text: str, name: str) -> dict[str, Any]:
    value = _read(text, name)
    if not isinstance(value, dict):
        raise InvalidInput(
            f'{name}: expected the arguments to replace, by name, as in {{"threshold": 3}}; got {text[:60]!r}',
            field=name,
            value=text[:60],
        )
    return value
