"""The log of a daemon, on standard error: lines for people on a terminal, JSON for machines otherwise."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TextIO

_WORDS = ("node", "stack", "commit", "resource", "operation", "step", "outcome", "seconds")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{word: vars(record)[word] for word in _WORDS if word in vars(record)},
        }
        return json.dumps(line, ensure_ascii=False)


def begin(stream: TextIO) -> None:
    """Have everything this package logs go to ``stream``."""
    handler = logging.StreamHandler(stream)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(text if stream.isatty() else _Json())
    log = logging.getLogger("reconciler")
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
