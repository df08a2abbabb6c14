"""The gRPC server: service, health, reflection, and the token before them all.

Rule: everything needs the token but health; grpcurl sends its header for reflection too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kronos._proto.v1 import service_pb2, service_pb2_grpc
from kronos.app import Kronos
from kronos.errors import KronosError, Unauthenticated
from kronos.server.listening import bind_grpc
from kronos.server.metrics import Metrics
from kronos.server.rpc import KronosServicer
from kronos.server.rpc_answers import abort
from kronos.server.tokens import Secrets
from kronos.settings import Address

__all__ = ["RpcServer"]

SERVICE: Final = service_pb2.DESCRIPTOR.services_by_name["KronosService"].full_name
THREADS: Final = 32
MESSAGE_BYTES_MAX: Final = 272 * 1024 * 1024
GRACE_S: Final = 2.0
OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # else two servers share a port unnoticed
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
)


class RpcServer:
    """One gRPC server, listening."""

    def __init__(self, app: Kronos, address: Address, *, secrets: Secrets, metrics: Metrics) -> None:
        self._servicer = KronosServicer(app)
        self._server = grpc.server(
            ThreadPoolExecutor(THREADS, thread_name_prefix="kronos-grpc"),
            interceptors=[_Counted(metrics), _Token(secrets)],
            options=OPTIONS,
        )
        service_pb2_grpc.add_KronosServiceServicer_to_server(self._servicer, self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(_Health(app), self._server)
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.address: Final = bind_grpc(self._server, address)

    def start(self) -> None:
        """Answer calls."""
        self._server.start()

    def stop(self) -> None:
        """Let calls end, for at most `GRACE_S`."""
        self._servicer.stop()
        self._server.stop(GRACE_S).wait()


class _Health(health.HealthServicer):  # type: ignore[misc]  # the package has no types
    """Serving means that the database answers."""

    def __init__(self, app: Kronos) -> None:
        super().__init__()
        self._app = app

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        try:
            self._app.ready()
            status = health_pb2.HealthCheckResponse.SERVING
        except KronosError:
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", SERVICE):
            self.set(name, status)
        return super().Check(request, context)


class _Token(grpc.ServerInterceptor):
    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Any], details: grpc.HandlerCallDetails
    ) -> Any:
        if details.method.startswith(f"/{health.SERVICE_NAME}/"):
            return continuation(details)
        given = dict(details.invocation_metadata).get("authorization", "")
        if self._secrets.is_bearer(given if isinstance(given, str) else given.decode("latin-1")):
            return continuation(details)
        what = "is wrong" if given else "is missing"
        refusal = Unauthenticated(
            f"the token {what}: send the metadata `authorization: Bearer TOKEN`; `kronos token` prints it",
            field="authorization",
        )
        return grpc.unary_unary_rpc_method_handler(lambda _request, context: abort(context, refusal))


class _Counted(grpc.ServerInterceptor):
    """Counts calls by method and outcome; a method that is not ours counts as `other`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Any], details: grpc.HandlerCallDetails
    ) -> Any:
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        name = details.method.rpartition("/")[2] if details.method.startswith(f"/{SERVICE}/") else "other"

        def counted(request: Any, context: grpc.ServicerContext) -> Any:
            begin = time.perf_counter()
            status = "OK"
            try:
                return handler.unary_unary(request, context)
            except BaseException:
                status = getattr(getattr(context, "code", lambda: None)(), "name", "UNKNOWN")
                raise
            finally:
                self._metrics.answered("grpc", name, status, time.perf_counter() - begin)

        return grpc.unary_unary_rpc_method_handler(
            counted, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )
