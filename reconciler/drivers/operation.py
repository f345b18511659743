"""One operation under way in a driver, and the table in which a driver enters what it does for each.

Both drivers are written alike: a function of an ``OperationContext`` for each operation, entered with ``@operation``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Generic, NoReturn, TypeVar

from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, MACHINE, POOL
from reconciler.model.problem import NameTaken, OperationFailed
from reconciler.model.resource import ResourceId

# Reasons a status may give (wire format 4.2).
LIBVIRT = "LibvirtError"
TOOL = "Exception"
STORAGE = "400"
UNSUPPORTED = "VirtctlError"

# Kind -> the reason under which a name that is taken is reported: by libvirt, or by the tool behind the kind.
_NAME_TAKEN = {MACHINE: LIBVIRT, POOL: STORAGE, DISK: STORAGE, DISK_IMAGE: STORAGE, DISK_SNAPSHOT: STORAGE}


def refuse(reason: str, message: str) -> NoReturn:
    """End the operation with ``OperationFailed``; ``reason`` is one of wire format 4.2."""
    raise OperationFailed(reason, message)


def refuse_taken(id: ResourceId, where: str = "") -> NoReturn:
    """End the operation with ``NameTaken``: what it would create exists. ``where`` says on which node, if it can."""
    raise NameTaken(_NAME_TAKEN.get(id.kind, TOOL), f"{id} already exists{where}")


class OperationContext(ABC):
    """The target of one operation and its wire parameters. A driver's own context adds its way to the host."""

    def __init__(self, target: ResourceId, parameters: Mapping[str, Any]) -> None:
        self.target = target
        self.parameters = parameters

    @abstractmethod
    def require_target(self) -> None:
        """Refuse unless the target exists on the node that this driver serves."""

    @abstractmethod
    def require_absent(self, kind: str, name: str) -> None:
        """Refuse if there is a resource of this kind and name in the namespace of the target."""

    def text(self, name: str, default: str = "") -> str:
        """A parameter as text."""
        return str(self.parameters.get(name, default))

    def number(self, name: str) -> int:
        """A parameter that is a whole number, in the unit the catalogue gives it; refuses anything else."""
        text = self.text(name)
        if not (text.isascii() and text.isdigit()):
            refuse(TOOL, f"{name}: {text!r} is not a number")
        return int(text)

    def flag(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.parameters.get(name) in (True, "True")

    def id(self, kind: str, name: str) -> ResourceId:
        """A resource in the namespace of the target."""
        return ResourceId(kind, name, self.target.namespace)


Context = TypeVar("Context", bound=OperationContext)


class OperationTable(Generic[Context]):
    """The functions of a driver, by kind and name of the operation.

    A function takes the context of the operation; what it does and its parameters are documented by the row of the
    catalogue. It raises ``OperationFailed`` if the operation is refused or fails.
    """

    def __init__(self) -> None:
        self.functions: dict[tuple[str, str], Callable[[Context], None]] = {}

    def operation(
        self, kind: str, *names: str, creates: bool = False
    ) -> Callable[[Callable[[Context], None]], Callable[[Context], None]]:
        """Enter a function for operations on resources of a kind.

        It is called once the target is known to exist, or with ``creates`` not to exist.
        """

        def enter(function: Callable[[Context], None]) -> Callable[[Context], None]:
            @wraps(function)
            def checked(context: Context) -> None:
                if creates:
                    context.require_absent(kind, context.target.name)
                else:
                    context.require_target()
                function(context)

            self.functions.update({(kind, name): checked for name in names})
            return function

        return enter
