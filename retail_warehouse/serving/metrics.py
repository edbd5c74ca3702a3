"""What the API counts, in the text format of Prometheus."""

import math
from collections.abc import Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_METHODS = frozenset(("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"))
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Counters of one API. Nothing in them says who asked, or for what: a route is told without its values.

    Attributes:
        content_type: MIME type of the text.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        """Begin with none."""
        self._registry = CollectorRegistry()
        common = {"registry": self._registry, "namespace": "retail_warehouse"}
        self._requests = Counter("requests", "Requests answered.", ("method", "route", "status"), **common)
        self._durations = Histogram(
            "request_seconds", "Seconds until a request was answered.", ("route",), buckets=_SECONDS, **common
        )
        self._rows = Counter("rows", "Rows taken in, by what became of them.", ("status",), **common)
        for status in ("accepted", "duplicate", "rejected"):
            self._rows.labels(status)
        self._lag = Gauge(
            "lag_seconds", "Age of the oldest landed file that dbt has not read; NaN where that is not known.", **common
        )
        self._predictions = Gauge(
            "predictions", "1 for the predictions that are served.", ("model_version", "predicted_at"), **common
        )
        self._users = Gauge("predictions_users", "Users with predictions.", **common)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: Its method.
            route: Its route, such as ``/users/{user_id}/next-order``; ``-`` where there is none.
            status: HTTP status; 0 if the client had gone.
            seconds: How long it took.
        """
        self._requests.labels(method if method in _METHODS else "other", route, status).inc()
        self._durations.labels(route).observe(seconds)

    def rows(self, counts: Mapping[str, int]) -> None:
        """Count rows by what became of them."""
        for status, count in counts.items():
            self._rows.labels(status).inc(count)

    def predictions(self, model_version: str, predicted_at: str, users: int) -> None:
        """Note which predictions are served from now on."""
        self._predictions.clear()
        self._predictions.labels(model_version, predicted_at).set(1)
        self._users.set(users)

    def text(self, lag_seconds: float | None) -> bytes:
        """All of it.

        Args:
            lag_seconds: How far dbt is behind; None if that is not known.
        """
        self._lag.set(math.nan if lag_seconds is None else lag_seconds)
        return generate_latest(self._registry)
