"""What ``--allow`` and the policy of a Stack permit: an impact, or an impact on one resource."""

from __future__ import annotations

from reconciler.catalogue.operation import Impact
from reconciler.model.kinds import kind_named
from reconciler.model.resource import DEFAULT_NAMESPACE, ResourceId

HELD = tuple(str(impact) for impact in Impact if impact.needs_permission)


def permission(text: str) -> str:
    """A permission in its one form: ``interrupt``, or ``interrupt:VirtualMachine/web-1``.

    The resource is ``KIND/NAME`` or ``KIND/NAMESPACE/NAME``; the kind may be a short name. Raises ``ValueError``.
    """
    impact, colon, _ = text.strip().partition(":")
    if impact not in HELD:
        raise ValueError(f"{impact or text!r} is no impact that needs permission; those are {', '.join(HELD)}")
    if not colon:
        return impact
    return of_resource(impact, _named(text.strip(), impact))


def _named(text: str, impact: str) -> ResourceId:
    word, *rest = text.partition(":")[2].split("/")
    kind = kind_named(word)
    if kind is None:
        raise ValueError(f"{word!r} in {text!r} is not a kind; write {impact}:VirtualMachine/web-1")
    if len(rest) not in (1, 2) or not all(rest):
        raise ValueError(f"{text!r} names no resource; write {impact}:{kind}/NAME, or {kind}/NAMESPACE/NAME")
    return ResourceId(kind, rest[-1], rest[0] if len(rest) == 2 else DEFAULT_NAMESPACE)


def resource_of(permission: str) -> ResourceId | None:
    """The one resource that a permission in its one form is for; None if it is for all."""
    impact, colon, _ = permission.partition(":")
    return _named(permission, impact) if colon else None


def of_resource(impact: str, id: ResourceId) -> str:
    """The permission for an impact on one resource."""
    return f"{impact}:{id}"
