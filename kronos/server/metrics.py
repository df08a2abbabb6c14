"""/metrics: what an operator watches, on a port of its own and without a token.

Rule: a scrape reads what the database can answer from an index; while it cannot, the rest is still told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from prometheus_client import CollectorRegistry, Counter, Histogram, make_asgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kronos.app import Kronos
from kronos.app.nodes import Node, Nodes
from kronos.core.state import Phase
from kronos.errors import KronosError
from kronos.storage.database import Session
from kronos.storage.statements import statement

__all__ = ["Metrics"]


class Metrics:
    """The registry of one server."""

    def __init__(self, app: Kronos) -> None:
        self.registry: Final = CollectorRegistry()
        self.requests: Final = Counter(
            "kronos_requests", "Requests answered", ["surface", "method", "status"], registry=self.registry
        )
        self.seconds: Final = Histogram(
            "kronos_request_seconds", "Seconds until an answer", ["surface"], registry=self.registry
        )
        # a connection of its own, so that a scrape never waits behind a page
        self._session: Final = Session(app.url, purpose="metrics")
        self.registry.register(_Database(self._session))
        self.asgi: Final = make_asgi_app(self.registry)

    def answered(self, surface: str, method: str, status: str, seconds: float) -> None:
        """Count one answer."""
        self.requests.labels(surface, method, status).inc()
        self.seconds.labels(surface).observe(seconds)

    def close(self) -> None:
        """Give back the connection."""
        self._session.close()


class _Database(Collector):
    def __init__(self, session: Session) -> None:
        self._session = session

    def describe(self) -> Iterable[Metric]:
        return []  # nothing is read when the collector is registered

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("kronos_database_up", "Whether the database answers")
        try:
            with self._session.connection() as connection:
                found = connection.execute(statement("count_runs")).fetchall()
                waiting = connection.execute(statement("count_jobs")).fetchall()
                nodes = Nodes(self._session).list()
        except KronosError:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        counts = {phase: (count, events) for phase, count, events in cast("list[tuple[str, int, int]]", found)}
        runs = GaugeMetricFamily("kronos_runs", "Runs on record", labels=["phase"])
        for phase in Phase:
            runs.add_metric([phase.value], counts.get(phase, (0, 0))[0])
        events = CounterMetricFamily("kronos_events", "Facts on record, open runs as of their last note")
        events.add_metric([], sum(total for _, total in counts.values()))
        return [up, runs, events, _jobs(cast("list[tuple[str, str, int]]", waiting)), *_leading(nodes)]


def _jobs(counts: list[tuple[str, str, int]]) -> Metric:
    jobs = GaugeMetricFamily("kronos_jobs", "Open and dead jobs", labels=["queue", "state"])
    for queue, state, count in counts:
        jobs.add_metric([queue, state], count)
    return jobs


def _leading(nodes: list[Node]) -> list[Metric]:
    leader = GaugeMetricFamily("kronos_leader", "1 for the node that leads", labels=["node", "kind", "name"])
    epoch = GaugeMetricFamily("kronos_leader_epoch", "How often the lead has changed hands")
    for node in nodes:
        if node.is_up:
            leader.add_metric([str(node.id), node.kind, node.name], float(node.leads))
        if node.epoch is not None:
            epoch.add_metric([], node.epoch)
    return [leader, epoch]
