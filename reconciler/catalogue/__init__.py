"""The catalogue: all 110 operations as rows, and the one check of what may be sent.

The planner looks operations up by field, the drivers by name, the command line shows them, and all of
them ask ``check`` before anything leaves the process. It reads nothing but its arguments.
"""

from __future__ import annotations

import difflib

from reconciler.catalogue import disk, diskimage, disksnapshot, image, machine, network, pool, snapshot
from reconciler.catalogue.operation import Impact, Limit, LimitSource, Operation, Parameter, Unit, Verb
from reconciler.catalogue.parameters import (
    DOT_COMPONENT,
    FREE_TEXT,
    LONGEST,
    ParameterError,
    check,
    parameter_errors,
    refused,
    said,
    within,
)

__all__ = [
    "DOT_COMPONENT",
    "FREE_TEXT",
    "LONGEST",
    "OPERATIONS",
    "Impact",
    "Limit",
    "LimitSource",
    "Operation",
    "Parameter",
    "ParameterError",
    "Unit",
    "Verb",
    "by_key",
    "check",
    "find",
    "nearest",
    "parameter_errors",
    "refused",
    "said",
    "within",
]

# In the order of the API's sections.
OPERATIONS: tuple[Operation, ...] = (
    *machine.OPERATIONS,
    *image.OPERATIONS,
    *disk.OPERATIONS,
    *diskimage.OPERATIONS,
    *disksnapshot.OPERATIONS,
    *snapshot.OPERATIONS,
    *pool.OPERATIONS,
    *network.OPERATIONS,
)

_BY_NAME = {(operation.kind, operation.name): operation for operation in OPERATIONS}
_BY_KEY = {(operation.kind, operation.key): operation for operation in OPERATIONS}


def find(kind: str, name: str) -> Operation:
    """The row of an operation. Raises ``KeyError`` with the nearest names."""
    operation = _BY_NAME.get((kind, name))
    if operation is None:
        raise KeyError(_unknown(kind, name))
    return operation


def by_key(kind: str, lifecycle_key: str) -> Operation:
    """The row behind a key of ``spec.lifecycle``. Raises ``KeyError`` with the nearest names."""
    operation = _BY_KEY.get((kind, lifecycle_key))
    if operation is None:
        raise KeyError(_unknown(kind, lifecycle_key))
    return operation


def nearest(kind: str, word: str) -> list[str]:
    """Names of the kind's operations that look like ``word``, best first, at most three."""
    names = {name.lower(): name for of, name in _BY_NAME if of == kind}
    return [names[match] for match in difflib.get_close_matches(word.lower(), names)]


def _unknown(kind: str, word: str) -> str:
    near = nearest(kind, word)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    return f"{kind} has no operation {word}{hint}"
