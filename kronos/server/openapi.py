"""The OpenAPI document, derived from the table of endpoints and the types of questions and answers."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from kronos.server import shapes
from kronos.server.api import Endpoint
from kronos.server.endpoints import ENDPOINTS
from kronos.server.responses import JSON

__all__ = ["document", "path_of"]

REF: Final = "#/components/schemas/{name}"
_CONVERTER: Final = re.compile(r"{(\w+)(?::\w+)?}")


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of /api/v1."""
    types = {each for endpoint in ENDPOINTS for each in (endpoint.answer, endpoint.body) if each is not None}
    listed = sorted(types | {shapes.ErrorEnvelope, shapes.Update}, key=lambda each: each.__name__)
    _, components = msgspec.json.schema_components(listed, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(path_of(endpoint.path), {})[endpoint.method.lower()] = _operation(endpoint)
    paths["/api/v1/runs/{run_id}/stream"] = {"get": _stream()}
    paths["/api/v1/openapi.json"] = {"get": _answered("This document", JSON, {"type": "object"})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kronos",
            "version": _version(),
            "description": "Runs of durable workflows, as of any event. Times are nanoseconds as strings.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`kronos token` prints it"}
            },
        },
    }


def path_of(route: str) -> str:
    """Return a route's path as OpenAPI writes it, without converters."""
    return _CONVERTER.sub(r"{\1}", route)


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    schema = {} if endpoint.answer is None else {"$ref": REF.format(name=endpoint.answer.__name__)}
    operation = _answered(endpoint.summary, endpoint.media, schema, status=endpoint.status)
    parameters = _path_parameters(endpoint.path) + _query_parameters(endpoint)
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        body = {"$ref": REF.format(name=endpoint.body.__name__)}
        operation["requestBody"] = {"required": False, "content": {JSON: {"schema": body}}}
    return operation


def _answered(summary: str, media: str, schema: dict[str, Any], *, status: int = 200) -> dict[str, Any]:
    failed = {"description": "Refused", "content": {JSON: {"schema": {"$ref": REF.format(name="ErrorEnvelope")}}}}
    return {
        "summary": summary,
        "responses": {
            str(status): {"description": summary, "content": {media: {"schema": schema}}},
            "default": failed,
        },
    }


def _stream() -> dict[str, Any]:
    summary = "New events as they are recorded (Server-Sent Events; `Last-Event-ID` resumes)"
    operation = _answered(summary, "text/event-stream", {"type": "string"})
    after = {"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0, "default": 0}}
    resume = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer", "minimum": 0}}
    return {**operation, "parameters": [*_path_parameters("/{run_id}"), after, resume]}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    schemas = {"run_id": {"type": "string", "format": "uuid"}, "seq": {"type": "integer", "minimum": 1}}
    return [
        {"name": name, "in": "path", "required": True, "schema": schemas[name]} for name in _CONVERTER.findall(path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    _, found = msgspec.json.schema_components([endpoint.query], ref_template="{name}")
    schema = found[endpoint.query.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _inlined(each, found)}
        for name, each in schema["properties"].items()
    ]


def _inlined(schema: Any, found: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, found) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return found[schema["$ref"]]
    return {key: _inlined(value, found) for key, value in schema.items()}


def _version() -> str:
    try:
        return version("kronos")
    except PackageNotFoundError:
        return "0"
