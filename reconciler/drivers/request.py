"""What an operation was asked for, and how a driver refuses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId

# Reasons a status may give (wire format 4.2).
LIBVIRT = "LibvirtError"
TOOL = "Exception"
STORAGE = "400"
UNSUPPORTED = "VirtctlError"


def refuse(kind: str, message: str) -> NoReturn:
    raise OperationFailed(kind, message)


class Asked:
    """The target of an operation and its wire parameters."""

    def __init__(self, target: ResourceId, parameters: Mapping[str, Any]) -> None:
        self.target = target
        self.parameters = parameters

    def text(self, name: str, default: str = "") -> str:
        return str(self.parameters.get(name, default))

    def number(self, name: str) -> int:
        """A whole number; refuses anything else."""
        text = self.text(name)
        if not (text.isascii() and text.isdigit()):
            refuse(TOOL, f"{name}: {text!r} is not a number")
        return int(text)

    def flag(self, name: str) -> bool:
        return self.parameters.get(name) in (True, "True")

    def id(self, kind: str, name: str) -> ResourceId:
        """A resource beside the target."""
        return ResourceId(kind, name, self.target.namespace)
