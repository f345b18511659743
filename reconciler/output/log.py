"""The log of agents and daemons on standard error: text on a terminal, otherwise a JSON object a line."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TextIO

from reconciler.output.escaping import json_text, page

_FIELDS = ("node", "stack", "commit", "resource", "operation", "step", "outcome", "seconds")


class _JsonFormatter(logging.Formatter):
    """Time, level, message, and those of ``_FIELDS`` that a record has."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{name: vars(record)[name] for name in _FIELDS if name in vars(record)},
        }
        return json_text(line)


class _TextFormatter(logging.Formatter):
    """A line; those of a message that has several, as one with a traceback has, are indented below the first."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        first, *rest = super().format(record).split("\n")
        return page([first, *(f"  {line}" for line in rest)]).removesuffix("\n")


def configure(stream: TextIO) -> None:
    """Send what this package logs, from level INFO on, to ``stream``, and nowhere else."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_TextFormatter() if stream.isatty() else _JsonFormatter())
    log = logging.getLogger("reconciler")
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
