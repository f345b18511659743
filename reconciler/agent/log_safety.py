"""Texts of an agent for Events and its log. Neither shows a parameter of an operation: it may be secret."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from functools import lru_cache

from reconciler import catalogue
from reconciler.model.resource import ResourceId

FIELD = 128  # bytes events.k8s.io/v1 admits in the fields that name something

log = logging.getLogger("reconciler.agent")
log.addHandler(logging.NullHandler())  # in a library, silent unless asked for


@lru_cache(1024)
def printable(*keys: str) -> str:
    """Lifecycle keys as they may stand in an Event: a client can write anything there."""
    return clip(" ".join(re.sub(r"[^\w.-]+", "?", key) or "?" for key in keys), FIELD)


def clip(text: str, size: int) -> str:
    """The beginning of a text, in at most ``size`` bytes of UTF-8."""
    return text.encode()[:size].decode(errors="ignore")


def log_fields(id: ResourceId, key: str | None = None) -> dict[str, str]:
    """What a log record has beside its text: the resource and, of a lifecycle key, the operation."""
    fields = {"resource": str(id)}
    if key is not None:
        try:
            catalogue.by_key(id.kind, key)
        except KeyError:
            key = "unknown"
        fields["operation"] = key
    return fields


def log_bug(error: Exception, fields: Mapping[str, str]) -> None:
    """Log where an unexpected error was raised, without its text: that may quote a parameter."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("unexpected %s\n%s", type(error).__name__, where, extra=dict(fields))
