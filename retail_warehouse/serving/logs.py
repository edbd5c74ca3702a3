"""The API's log: lines of text for people, or a JSON object a line for programs."""

import logging
from datetime import UTC, datetime

import orjson


class JsonFormatter(logging.Formatter):
    """Writes ``time`` (UTC), ``level``, ``logger`` and ``message``, and of requests ``method``, ``route``, ``status``
    and ``ms``. No part of it says who asked, or for what."""

    def format(self, record: logging.LogRecord) -> str:
        """See the base class."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        } | getattr(record, "request", {})
        if record.exc_info:
            # Its kind alone: the text of an error may quote what was sent.
            told["error"] = getattr(record.exc_info[0], "__name__", "")
        return orjson.dumps(told).decode()


def set_up_logs(level: str, as_json: bool) -> None:
    """Log to standard error.

    Args:
        level: From which on requests and troubles of the API are logged.
        as_json: Whether each line is a JSON object.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if as_json:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells of each client that is made
    logging.getLogger("retail_warehouse.api").setLevel(level)
