"""How an agent says things to people, in Events and in its log. Neither tells a parameter: it may be secret."""

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
def shown(*keys: str) -> str:
    """Lifecycle keys as they may stand in an Event: a client can write anything there."""
    return clip(" ".join(re.sub(r"[^\w.-]+", "?", key) or "?" for key in keys), FIELD)


def clip(text: str, most: int) -> str:
    """A text in at most that many bytes."""
    return text.encode()[:most].decode(errors="ignore")


def words(id: ResourceId, key: str | None = None) -> dict[str, str]:
    """What a line of the log says of an operation beside its text."""
    words = {"resource": str(id)}
    if key is not None:
        try:
            catalogue.by_key(id.kind, key)
        except KeyError:
            key = "unknown"
        words["operation"] = key
    return words


def log_bug(error: Exception, words: Mapping[str, str]) -> None:
    """Where it happened, without its text: that may quote a parameter, and the parameter a secret."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("unexpected %s\n%s", type(error).__name__, where, extra=dict(words))
